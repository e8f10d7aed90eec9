"""Checks what `deploy/` ships for Kubernetes, Prometheus and systemd, without any of them running.

`just deploy-check` runs it. Each check needs a tool; a tool that is not installed is named at the end, and what needs it is left
out. The chart is rendered with few and with all of its values. Whatever one resource says of another must be there (ports, volumes,
selectors, services), every kind that Kubernetes itself has must fit the schemas of 1.31 to 1.37, and the configuration that
containers get must be one that `tidings` accepts.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from values import ALL, REFUSED, SETS

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/tidings"
TOOLS = ROOT / ".tools/bin"
VERSIONS = [f"1.{minor}" for minor in range(31, 38)]
# Kinds of others, which no schema of Kubernetes has.
OTHERS = {"ServiceMonitor", "PrometheusRule", "ScaledObject", "HTTPRoute"}

failures: list[str] = []
left_out: list[str] = []


def expect(holds, what):
    if not holds:
        failures.append(what)


def tool(name):
    """Where a tool is: in the project's folder, or on the PATH."""
    own = TOOLS / name
    found = str(own) if own.exists() else shutil.which(name)
    if not found:
        left_out.append(name)
    return found


def run(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)


def succeeds(*command, **options):
    ended = run(*command, **options)
    expect(ended.returncode == 0, f"{' '.join(map(str, command))}\n{ended.stdout}{ended.stderr}")
    return ended


def render(helm, values):
    command = [helm, "template", "t", CHART, "--namespace", "n", "--kube-version", "1.31.0", "--values", "-"]
    return run(*command, input=json.dumps(values))


# --- what resources say of each other ------------------------------------------------------------------------------------------


def references(name, resources):
    """Whatever a resource names is there."""
    deployments = {r["metadata"]["name"]: r for r in resources if r["kind"] == "Deployment"}
    services = {r["metadata"]["name"]: r for r in resources if r["kind"] == "Service"}
    maps = {r["metadata"]["name"] for r in resources if r["kind"] == "ConfigMap"}
    accounts = {r["metadata"]["name"] for r in resources if r["kind"] == "ServiceAccount"}
    names = [(r["kind"], r["metadata"]["name"]) for r in resources]
    expect(len(names) == len(set(names)), f"{name}: two resources have one name: {names}")

    def pods(labels):
        matches = lambda pod: all(pod["metadata"]["labels"].get(key) == value for key, value in labels.items())
        return [d for d in deployments.values() if matches(d["spec"]["template"])]

    def port_of(service, wanted):
        found = [p for p in services.get(service, {"spec": {"ports": []}})["spec"]["ports"] if wanted in (p["name"], p["port"])]
        expect(found, f"{name}: there is no service {service} with port {wanted}")

    for deployment in deployments.values():
        deployment_of(name, deployment, maps, accounts)
    for resource in resources:
        kind, spec, own = resource["kind"], resource.get("spec", {}), f"{name}: {resource['kind']} {resource['metadata']['name']}"
        if kind == "Service":
            chosen = pods(spec["selector"])
            expect(chosen, f"{own} selects no pod")
            for port in spec["ports"]:
                for pod in chosen:
                    ports = [p["name"] for p in pod["spec"]["template"]["spec"]["containers"][0].get("ports", [])]
                    expect(port["targetPort"] in ports, f"{own}: pods have no port {port['targetPort']}, but {ports}")
        elif kind == "PodDisruptionBudget":
            expect(len(pods(spec["selector"]["matchLabels"])) == 1, f"{own} is not of one deployment")
        elif kind == "NetworkPolicy":
            chosen = pods(spec["podSelector"]["matchLabels"])
            expect(chosen, f"{own} selects no pod")
            open_ports = {port["port"] for rule in spec["ingress"] for port in rule["ports"]}
            for pod in chosen:
                ports = {p["containerPort"] for p in pod["spec"]["template"]["spec"]["containers"][0].get("ports", [])}
                expect(ports - {8081} <= open_ports, f"{own} closes {ports - open_ports}")
        elif kind in ("HorizontalPodAutoscaler", "ScaledObject"):
            target = deployments.get(spec["scaleTargetRef"]["name"])
            expect(target and "replicas" not in target["spec"], f"{own} scales a deployment that sets its own replicas")
            expect("tidings_gateway_connections" in json.dumps(spec), f"{own} does not scale by connections")
        elif kind == "Ingress":
            for path in spec["rules"][0]["http"]["paths"]:
                port_of(path["backend"]["service"]["name"], path["backend"]["service"]["port"]["name"])
        elif kind == "HTTPRoute":
            for backend in [b for rule in spec["rules"] for b in rule["backendRefs"]]:
                port_of(backend["name"], backend["port"])
        elif kind == "ServiceMonitor":
            labels = spec["selector"]["matchLabels"]
            chosen = [s for s in services.values() if labels.items() <= s["metadata"]["labels"].items()]
            expect(len(chosen) == 1, f"{own} selects {len(chosen)} services")
            for endpoint in spec["endpoints"]:
                port_of(chosen[0]["metadata"]["name"], endpoint["port"])
        elif kind == "PrometheusRule":
            expect(spec["groups"], f"{own} has no rules")


def deployment_of(name, deployment, maps, accounts):
    """A deployment that ends in order, is spread, may do nothing, and whose volumes, ports and selectors are there."""
    own, spec = f"{name}: {deployment['metadata']['name']}", deployment["spec"]
    pod, labels = spec["template"]["spec"], spec["template"]["metadata"]["labels"]
    (container,) = pod["containers"]
    expect(spec["selector"]["matchLabels"].items() <= labels.items(), f"{own} does not select its own pods")
    expect(spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0, f"{own} ends pods before others are there")
    expect(pod["serviceAccountName"] in accounts, f"{own} has no service account {pod['serviceAccountName']}")
    security = {**pod["securityContext"], **container["securityContext"]}
    expect(security["runAsNonRoot"] and security["readOnlyRootFilesystem"], f"{own} may write, or runs as root")
    expect(not security["allowPrivilegeEscalation"] and security["capabilities"]["drop"] == ["ALL"], f"{own} has capabilities")
    keys = {c["topologyKey"]: c["whenUnsatisfiable"] for c in pod["topologySpreadConstraints"]}
    expect("kubernetes.io/hostname" in keys, f"{own} is not spread over nodes")
    expect(all(c["labelSelector"]["matchLabels"].items() <= labels.items() for c in pod["topologySpreadConstraints"]), own)

    variables = {v["name"]: v["value"] for v in container["env"]}
    if "gateway" in container["args"]:
        drain = int(variables["TIDINGS_GATEWAY__DRAIN_TIME"].removesuffix("s"))
        before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        expect(pod["terminationGracePeriodSeconds"] > before + drain + 15, f"{own} is killed while it drains")
        # Before probes and proxies have seen that it ends, and a proxy may need two looks.
        probe = container["readinessProbe"]
        expect(probe["httpGet"]["path"] == "/readyz" and container["livenessProbe"]["httpGet"]["path"] == "/healthz", own)
    ports = [port["name"] for port in container.get("ports", [])]
    for probe in [container[kind] for kind in ("readinessProbe", "livenessProbe") if kind in container]:
        expect(probe["httpGet"]["port"] in ports, f"{own} has no port {probe['httpGet']['port']}")
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    expect(len(volumes) == len(pod["volumes"]) and mounted == set(volumes), f"{own}: mounts {mounted}, volumes {set(volumes)}")
    config = volumes["config"]["configMap"]["name"]
    expect(config in maps, f"{own} has no ConfigMap {config}")
    folders = [mount["mountPath"] for mount in container["volumeMounts"]]
    for variable, value in variables.items():
        if value.startswith("/etc/"):
            expect(any(value == folder or value.startswith(folder.rstrip("/") + "/") or folder.startswith(value + "/") for folder in folders), f"{own}: {variable} is {value}, where nothing is mounted")


def configuration(name, resources):
    """`tidings` accepts the file and the variables that containers get."""
    binary = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/tidings"
    if not binary.exists():
        if "target/debug/tidings" not in left_out:
            left_out.append("target/debug/tidings")
        return
    files = {r["metadata"]["name"]: r["data"] for r in resources if r["kind"] == "ConfigMap"}
    with tempfile.TemporaryDirectory() as folder:
        for deployment in [r for r in resources if r["kind"] == "Deployment"]:
            pod = deployment["spec"]["template"]["spec"]
            config = next(v for v in pod["volumes"] if v["name"] == "config")["configMap"]["name"]
            file, secret = Path(folder, "tidings.toml"), Path(folder, "secret")
            file.write_text(files[config]["tidings.toml"])
            secret.write_text("s" * 32)
            variables = {v["name"]: v["value"] for v in pod["containers"][0]["env"]}
            # Something that can be read stands in for what secrets bring.
            variables = {name: str(secret) if value.startswith("/etc/") else value for name, value in variables.items()}
            variables.update(TIDINGS_CONFIG=str(file), TIDINGS_SCHEMAS__DIRECTORY=folder)
            succeeds(binary, "config", env=variables, cwd=folder)


# --- the parts ------------------------------------------------------------------------------------------------------------------


def chart():
    helm, modules = tool("helm"), tool("kubernetes-validate-1.37.0")
    if not helm or not modules:
        return
    sys.path.insert(0, modules)
    import kubernetes_validate
    import yaml

    succeeds(helm, "lint", "--strict", "--kube-version", "1.31.0", CHART)
    validated = set()
    for name, values in SETS.items():
        rendered = render(helm, values)
        expect(rendered.returncode == 0, f"{name}: {rendered.stderr}")
        resources = [resource for resource in yaml.safe_load_all(rendered.stdout) if resource]
        references(name, resources)
        configuration(name, resources)
        for resource in [r for r in resources if r["kind"] not in OTHERS and json.dumps(r) not in validated]:
            validated.add(json.dumps(resource))
            for version in VERSIONS:
                try:
                    kubernetes_validate.validate(resource, version, strict=True)
                except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
                    failures.append(f"{name}: {resource['kind']} {resource['metadata']['name']} in {version}: {error.message}")
    kinds = {resource["kind"] for resource in yaml.safe_load_all(render(helm, ALL).stdout) if resource}
    expect(OTHERS - {"ScaledObject"} <= kinds, f"not everything is rendered: {kinds}")
    for values, sentence in REFUSED:
        refused = render(helm, values)
        expect(refused.returncode != 0 and sentence in refused.stderr, f"{values} is answered with {refused.stderr or 'nothing'}")
    for path in ("deploy/compose.yaml", "deploy/helm/nats-values.yaml"):
        expect(yaml.safe_load((ROOT / path).read_text()), f"{path} is empty")


def alerts():
    promtool, file = tool("promtool"), CHART / "files/alerts.yaml"
    text = file.read_text()
    names = re.findall(r"- alert: (\w+)", text)
    for word in ("summary", "description", "action"):
        expect(text.count(f"          {word}:") == len(names), f"an alert has no {word}")
    tests = (ROOT / "tests/deploy/alerts-test.yaml").read_text()
    documented = (ROOT / "deploy/alerts.md").read_text()
    for name in names:
        expect(f'alertname="{name}"' in tests, f"alerts-test.yaml does not raise {name}")
        expect(f"| `{name}` |" in documented, f"deploy/alerts.md does not have {name}")
    if promtool:
        succeeds(promtool, "check", "rules", "--lint=all", "--lint-fatal", file)
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(file, folder)
            shutil.copy(ROOT / "tests/deploy/alerts-test.yaml", folder)
            succeeds(promtool, "test", "rules", "alerts-test.yaml", cwd=folder)


def units():
    analyze = tool("systemd-analyze")
    if not analyze:
        return
    with tempfile.TemporaryDirectory() as folder:
        for file in sorted((ROOT / "deploy").glob("*.service")):
            unit, text = file.name, file.read_text()
            # It looks for the program, which is not installed here.
            Path(folder, unit).write_text(text.replace("/usr/bin/tidings", "/bin/true"))
            verified = run(analyze, "verify", "--man=no", Path(folder, unit))
            expect(verified.returncode == 0 and not verified.stderr, f"{unit}: {verified.stderr}")


def image():
    """What the program is linked with is in the image, which has the C library and nothing else."""
    binary = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/tidings"
    if binary.exists() and shutil.which("ldd"):
        linked = {line.split()[0].rsplit("/", 1)[-1].split(".so")[0] for line in run("ldd", binary).stdout.splitlines()}
        more = linked - {"linux-vdso", "ld-linux-x86-64", "ld-linux-aarch64", "libc", "libm", "libgcc_s", "libpthread", "libdl", "librt"}
        expect(linked and not more, f"the image lacks {more or 'everything'}")


def variables():
    """Every variable that something in deploy/ sets is a key of the configuration."""
    keys = set(re.findall(r"^\| `([a-z0-9_]+\.[a-z0-9_]+)`", (ROOT / "deploy/README.md").read_text(), re.MULTILINE))
    for path in [p for p in (ROOT / "deploy").rglob("*") if p.is_file()]:
        for section, key in re.findall(r"\bTIDINGS_([A-Z0-9]+)__([A-Z0-9_]+)", path.read_text()):
            named = f"{section.lower()}.{key.lower()}"
            expect(named in keys or (section, key) == ("SECTION", "KEY"), f"{path}: there is no {named}")


for part in (chart, alerts, units, image, variables):
    part()
for failure in failures:
    print(f"\n{failure}", file=sys.stderr)
if left_out:
    print(f"NOT CHECKED, as these are not there: {', '.join(sorted(set(left_out)))}; `just deploy-tools` builds them", file=sys.stderr)
print(f"deploy-check: {len(failures)} failed")
sys.exit(bool(failures))
