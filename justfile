# What one does with this project. Without `just` on the PATH, `sh .tools/just <recipe>` does the same.

set positional-arguments

# Tests mostly wait, for servers to start, leases to lapse, moments to come: three at once keep a core busy.
export RUST_TEST_THREADS := env("RUST_TEST_THREADS", `echo $(($(getconf _NPROCESSORS_ONLN) * 3))`)

# List the recipes
[private]
default:
    @"{{ just_executable() }}" --justfile "{{ justfile() }}" --list --unsorted

# Build and start everything: nats-server, projector and gateway
dev *arguments: nats-server
    @exec cargo run --locked --package tidings-cli -- dev "$@"

# The same on three nats-servers, with two projectors and two gateways behind a balancer
dev-cluster *arguments: nats-server
    @exec cargo run --locked --package tidings-cli -- dev --nodes 3 "$@"

# Run all tests; arguments go to `cargo test`
test *arguments: nats-server
    cargo test --workspace --locked "$@"

# Run the tests that need no NATS
unit *arguments:
    cargo test --workspace --locked --lib --bins "$@"

# Attack it with so many attempts of each kind, and print what held: `just attack 1000 7` with seed 7
attack attempts="200" seed="1": nats-server
    TIDINGS_ATTACK_ATTEMPTS="$1" TIDINGS_ATTACK_SEED="$2" cargo test --locked --package tidings-tests --test attack -- --nocapture

# Let everything fail on three nats-servers, and compare what all devices saw: `just faults --minutes 60 --seed 7`, or `--faults 1000`
faults *arguments="--minutes 10": nats-server
    TIDINGS_FAULTS="$*" cargo test --workspace --locked --test faults -- --nocapture

# Let two writers that both believe to lead write on three nats-servers that fail: `just interleavings 2000 7` with seed 7 and the next ones
interleavings count="1000" seed="2": nats-server
    TIDINGS_INTERLEAVINGS="$1" TIDINGS_SEED="$2" cargo test --workspace --locked --test cluster two_writers_on_three_servers_from_more_seeds -- --ignored --nocapture

# Fuzz every parser, or one, for so many seconds each, guided by coverage: `just fuzz token 600`; with a file, repeat it
fuzz target="all" seconds="60":
    @sh .tools/fuzz "$1" "$2"

# Measure everything, or one benchmark: `just bench way --svg way.svg`; `just bench --help` lists them
bench *arguments="all": nats-server
    cargo build --release --locked --package tidings-cli --package tidings-bench
    @exec "${CARGO_TARGET_DIR:-target}/release/tidings-bench" "$@"

# Check format, lints and documentation
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked --features tidings-fuzz/libfuzzer -- -D warnings
    RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked
    sh .tools/client-ts run --silent check
    sh .tools/producer-python check || [ $? -eq 3 ]

# Build the documentation of everything, private items too
doc:
    cargo doc --workspace --no-deps --locked --document-private-items

# Check licences, origins and advisories of all dependencies
deny:
    @sh .tools/deny

# Check what deploy/ ships, and the descriptions of the interfaces, with the tools that are there; `deploy-tools` builds those that are missing
deploy-check: nats-server
    @python3 tests/deploy/check.py
    cargo test --workspace --locked --test http_publish tools_accept_the_descriptions -- --ignored

# Build helm and promtool, and install what checks Kubernetes, OpenAPI and AsyncAPI, for `deploy-check`: some minutes, once
deploy-tools:
    @sh .tools/install descriptions
    @sh .tools/install schemathesis
    @sh .tools/install kubernetes-validate
    @sh .tools/install helm
    @sh .tools/install promtool

# Do what continuous integration does
ci:
    .ci/run

# Find nats-server, or install the pinned one into the project
[private]
nats-server:
    @sh .tools/install nats-server >/dev/null
