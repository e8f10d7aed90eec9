"""Values that the chart is rendered with, and values that it refuses, with the sentence that it says."""

PEER = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]

ALL = {
    "image": {"repository": "registry.example/tidings", "digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "registry"}],
    "catalogs": {"ops": "catalog-ops", "field_1": "catalog-field"},
    "nats": {"url": "tls://nats-0:4222,tls://nats-1:4222", "caSecret": "nats-ca"},
    "gateway": {
        "trustedProxies": ["10.0.0.0/8", "fd00::/8"],
        "tls": {"existingSecret": "tidings-tls"},
        "admin": {"enabled": True},
        "autoscaling": {"by": "adapter"},
        "ingress": {"enabled": True, "className": "nginx", "host": "live.example", "tlsSecret": "live-tls", "annotations": {"a": "b"}},
        "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}], "hostnames": ["live.example"]},
        "podAnnotations": {"a": "b"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "gateways", "operator": "Exists"}],
    },
    "projector": {"shards": [0, 3], "podAnnotations": {"a": "b"}, "nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}]},
    "dispatcher": {
        "enabled": True,
        "replicas": 3,
        "env": [{"name": "TIDINGS_WEBHOOK__TIMEOUT", "value": "10s"}],
        "volumes": [{"name": "webhook-keys", "secret": {"secretName": "webhook-keys"}}],
        "volumeMounts": [{"name": "webhook-keys", "mountPath": "/etc/tidings/webhook-keys", "readOnly": True}],
        "podAnnotations": {"a": "b"},
        "nodeSelector": {"a": "b"},
        "tolerations": [{"operator": "Exists"}],
    },
    "canary": {"enabled": True, "tenant": "ops", "url": "wss://live.example/api/ws", "podAnnotations": {"a": "b"}, "nodeSelector": {"a": "b"}},
    "metrics": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "rules": {"enabled": True, "labels": {"release": "prometheus"}},
        "dashboard": {"enabled": True},
    },
    "networkPolicy": {
        "clients": PEER,
        "operators": PEER,
        "nats": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "nats"}}}],
        "egress": [{"ports": [{"port": 443}]}],
    },
    "serviceAccount": {"annotations": {"a": "b"}},
}

SETS = {
    "defaults": {},
    "everything": ALL,
    "keda": {"gateway": {"autoscaling": {"by": "keda", "prometheusUrl": "http://prometheus:9090"}}},
    "behind a TCP balancer": {
        "gateway": {
            "proxyProtocol": True,
            "trustedProxies": ["10.0.0.0/8"],
            "preStopSeconds": 0,
            "drainSeconds": 300,
            "service": {"type": "LoadBalancer", "port": 443},
        }
    },
    "a canary inside": {
        "canary": {"enabled": True, "tenant": "ops"},
        "networkPolicy": {"clients": PEER},
        "dispatcher": {"enabled": True},
    },
    "bare": {
        "nats": {"existingSecret": ""},
        "access": {"existingSecret": ""},
        "config": '[[access.issuers]]\nissuer = "https://login.example"\naudience = "tidings"\nalgorithms = ["ES256"]\n'
        'tenant = "ops"\njwks_url = "https://login.example/jwks"\n',
        "gateway": {"replicas": 1},
        "metrics": {"enabled": False},
        "networkPolicy": {"enabled": False},
    },
}

REFUSED = [
    ({"gateway": {"replica": 3}}, "at '/gateway': additional properties 'replica' not allowed"),
    ({"gateway": {"replicas": "three"}}, "at '/gateway/replicas': got string, want integer"),
    ({"gateway": {"replicas": 0}}, "at '/gateway/replicas': minimum: got 0, want 1"),
    ({"gateway": {"autoscaling": {"by": "cpu"}}}, "at '/gateway/autoscaling/by': value must be one of 'none', 'keda', 'adapter'"),
    ({"projector": {"shards": [64]}}, "at '/projector/shards/0': maximum: got 64, want 63"),
    ({"projector": {"shards": []}}, "at '/projector/shards': minItems: got 0, want 1"),
    ({"dispatcher": {"shards": [1]}}, "at '/dispatcher': additional properties 'shards' not allowed"),
    ({"dispatcher": {"volumeMounts": [{"name": "keys"}]}}, "at '/dispatcher/volumeMounts/0': missing property 'mountPath'"),
    ({"canary": {"enabled": True}}, 'canary.tenant is ""; name the tenant'),
    ({"canary": {"enabled": True, "tenant": "ops", "url": "live.example"}}, 'canary.url is "live.example"; give where clients connect'),
    (
        {"canary": {"enabled": True, "tenant": "ops"}, "gateway": {"tls": {"existingSecret": "tls"}}},
        "canary.url is empty, and gateways expect a PROXY header or have a certificate for another name",
    ),
    ({"canary": {"enabled": True, "tenant": "ops"}, "metrics": {"enabled": False}}, "canary.enabled needs metrics.enabled: true"),
    ({"nats": {"url": "http://nats:4222"}}, 'each address is nats://host:port or tls://host:port, without user and password'),
    ({"nats": {"url": "nats://me:secret@nats:4222"}}, 'each address is nats://host:port or tls://host:port, without user and password'),
    ({"image": {"digest": "latest"}}, 'image.digest is "latest"; a digest is sha256: and 64 hexadecimal digits'),
    ({"catalogs": {"Ops": "a"}}, 'catalogs has the tenant "Ops"'),
    ({"gateway": {"trustedProxies": ["proxy.example"]}}, 'gateway.trustedProxies has "proxy.example"; give addresses and networks'),
    ({"gateway": {"autoscaling": {"minReplicas": 30}}}, "gateway.autoscaling.minReplicas is 30 and maxReplicas 20"),
    ({"gateway": {"autoscaling": {"by": "keda"}}}, "gateway.autoscaling.prometheusUrl is empty; give the address"),
    ({"gateway": {"autoscaling": {"by": "adapter"}}, "metrics": {"enabled": False}}, "which needs metrics.enabled: true"),
    ({"metrics": {"enabled": False, "rules": {"enabled": True}}}, "metrics.serviceMonitor and metrics.rules need metrics.enabled"),
    ({"gateway": {"ingress": {"enabled": True}}}, "gateway.ingress.host is empty; give the name that clients connect to"),
    ({"gateway": {"httpRoute": {"enabled": True}}}, "gateway.httpRoute.parentRefs is empty; name the Gateway"),
    ({"gateway": {"proxyProtocol": True}}, "gateway.trustedProxies is empty; name the addresses of the balancer"),
    (
        {"gateway": {"proxyProtocol": True, "trustedProxies": ["10.0.0.1"], "ingress": {"enabled": True, "host": "a"}}},
        "every connection needs a PROXY header, which an Ingress or an HTTPRoute does not send",
    ),
    ({"access": {"existingSecret": ""}}, "access.existingSecret is empty, and `config` has no [[access.issuers]]"),
    ({"gateway": {"replicas": 2, "podDisruptionBudget": {"maxUnavailable": 2}}}, "is 2 of 2 replicas; give less"),
]
