#!/bin/sh
# Makes the NATS accounts of Tidings with `nsc` (https://github.com/nats-io/nsc), and in the working directory:
#
#     nats-accounts.conf    the operator and its accounts, which nats-server.conf includes
#     nats-routes.conf      the servers of a cluster and their password, which nats-cluster.conf includes
#     *.creds               the credentials of projector, gateway, dispatcher, administrators, restores, and each tenant's
#                           producers
#
# usage: sh nats-accounts.sh [--shards N] [--servers 'HOST[:PORT] ...'] [--source ACCOUNT/STREAM]... TENANT...
#
#     TENANT       gets an account for its producers and <tenant>-producer.creds
#     --shards     how many shards there may be, 1 to 64; 4 unless given. Unused ones cost nothing
#     --source     a stream of a team's own that projectors copy (`[[projector.sources]]`), and the team's account, which
#                  is in the same key store; for each such stream
#     --servers    the servers of the cluster, as they reach each other; port 6222 unless given
#
# Run it again, with the same key store, to add tenants, shards or servers: it adds what is missing and keeps every
# key. Keep the key store of nsc (`nsc env` shows where) off the servers, and back it up: its owner is the operator.
#
# Why so many accounts: JetStream answers a publication on its reply subject, and delivers to the subject that the
# maker of a consumer names, with its own rights. No permission of the user is checked for that; only accounts
# separate. So each stream lives in an account of its own, where nothing but its own subjects can be reached, and each
# process in an account without JetStream, which imports exactly the subjects that the process needs. An import is
# the permission: what is not imported cannot be reached, neither by a publication nor by an answer to one. The
# users' tokens stay short, so that CONNECT fits into nats-server's `max_control_line`.
set -eu

usage() {
    sed -n 's/^# \{0,1\}//; /^usage:/,/^ *--servers/p' "$0" >&2
    exit 2
}

shards=4 servers= sources= tenants=
while [ $# -gt 0 ]; do
    case $1 in
    --shards) [ $# -gt 1 ] || usage; shards=$2; shift 2 ;;
    --servers) [ $# -gt 1 ] || usage; servers=$2; shift 2 ;;
    --source)
        case ${2:-} in ?*/?*) sources="$sources $2"; shift 2 ;; *) usage ;; esac
        ;;
    -*) usage ;;
    *)
        case $1 in *[!a-z0-9_-]*) echo "nats-accounts.sh: $1 cannot be a tenant: a-z, 0-9, _ and - are allowed" >&2; exit 2 ;; esac
        tenants="$tenants $1"
        shift
        ;;
    esac
done
case $shards in '' | *[!0-9]*) usage ;; esac
[ "$shards" -ge 1 ] && [ "$shards" -le 64 ] || usage

command -v nsc >/dev/null || {
    echo "nats-accounts.sh: nsc is not on the PATH; \`sh .tools/install nsc\` in the project's folder installs it and prints where" >&2
    exit 1
}

# nsc reports what it does on stderr, one line a step; it is shown only when a step fails.
quietly() {
    said=$("$@" 2>&1) || {
        echo "nats-accounts.sh: failed: $*" >&2
        echo "$said" >&2
        exit 1
    }
}

# What nsc knows about an account, or nothing. The JSON writes `>` as \u003e.
described() { nsc describe account --name "$1" --json 2>/dev/null | sed 's/\\u003e/>/g'; }

# Makes an account unless it is there. Sets `known` to what it has.
account() {
    known=$(described "$1") || known=
    if [ -z "$known" ]; then
        quietly nsc add account --name "$1"
        known=new
        eval "id_$(name_of "$1")="
    fi
}

# An account's name as part of a variable's.
name_of() { printf '%s' "$1" | tr -c 'A-Za-z0-9\n' _; }

# The public key of an account.
id_of() {
    variable=id_$(name_of "$1")
    eval "id=\${$variable:-}"
    if [ -z "$id" ]; then
        id=$(nsc describe account --name "$1" --field sub | tr -d '"')
        eval "$variable=\$id"
    fi
}

# Whether `known` has this subject already.
has() {
    case $known in *"\"$1\""*) return 0 ;; *) return 1 ;; esac
}

# Lets the account of a stream take the parts of that stream, or another one, from who restores it.
restorable() {
    parts="\$JS.SNAPSHOT.RESTORE.$2.*"
    id_of RESTORE
    has "$parts" || quietly nsc add import --account "$1" --src-account "$id" --remote-subject "$parts" --local-subject "$parts"
}

# A stream's account, which lets others import: what its API answers once; what answers often, since a pull request
# is answered by many messages; and the subjects that the stream stores.
stream() {
    name=$1
    shift
    account "$name"
    [ "$known" != new ] || quietly nsc edit account --name "$name" --js-mem-storage -1 --js-disk-storage -1
    for subject in '$JS.API.STREAM.>' '$JS.API.DIRECT.>' '$JS.ACK.>' '$JS.SNAPSHOT.ACK.>' "$@"; do
        has "$subject" || quietly nsc add export --account "$name" --service --subject "$subject"
    done
    restorable "$name" "$name"
    # Where a backup has the stream sent, and a restore is answered.
    has 'tidings.backup.>' || quietly nsc add export --account "$name" --subject 'tidings.backup.>'
    has '$JS.API.CONSUMER.>' || quietly nsc add export --account "$name" --service --subject '$JS.API.CONSUMER.>' --response-type Stream
}

# imports STREAM SUBJECT...: the account that was made last may use these subjects of the stream's account. `@` stands
# for the stream's name. JetStream's API gets the prefix TIDINGS.API (`nats.api_prefix`), since nats-server answers all of
# $JS.API in every account itself.
imports() {
    from=$1
    shift
    id_of "$from"
    for subject; do
        subject=$(printf '%s' "$subject" | sed "s/@/$from/g")
        case $subject in
        '$JS.API.'*) local=TIDINGS.API.${subject#?JS.API.} ;;
        # Clients that use the key-value API write under the prefix, too.
        '$KV.CATALOGS.'*) local=TIDINGS.API.$subject ;;
        *) local=$subject ;;
        esac
        has "$subject" || quietly nsc add import --account "$into" --service --src-account "$id" --remote-subject "$subject" --local-subject "$local"
    done
}

# Makes the account that `imports` is about.
process() {
    into=$1
    account "$into"
}

user() {
    if ! nsc describe user --account "$1" --name "$2" >/dev/null 2>&1; then
        quietly nsc add user --account "$1" --name "$2"
    fi
    rm -f "$2.creds"
    quietly nsc generate creds --account "$1" --name "$2" --output-file "$2.creds"
    chmod 600 "$2.creds"
}

# Suffixes of the shards' streams and subjects: none, _1, _2, …
suffixes=:
shard=1
while [ "$shard" -lt "$shards" ]; do
    suffixes="$suffixes _$shard"
    shard=$((shard + 1))
done
each_shard() {
    for suffix in $suffixes; do
        suffix=${suffix#:}
        "$1"
    done
}

umask 077
nsc describe operator --name tidings >/dev/null 2>&1 || quietly nsc add operator --name tidings --sys
quietly nsc env --operator tidings

# --- Restores -----------------------------------------------------------------------------------------------------

# Whoever restores a backup sends the streams' parts from here. nats-server puts a header before what comes by an import of
# a service, such as administrators have, and takes that for a part of the stream. The accounts of streams import the
# parts as they are from an account that imports nothing: accounts that import from each other in a circle are not set up
# reliably.
account RESTORE
has '$JS.SNAPSHOT.RESTORE.>' || quietly nsc add export --account RESTORE --subject '$JS.SNAPSHOT.RESTORE.>'
user RESTORE restore

# --- The streams --------------------------------------------------------------------------------------------------

# SCHEDULED lives in the same account: EVENTS takes from it what is due.
stream EVENTS 'events.>' 'scheduled.>'
restorable EVENTS SCHEDULED
stream REJECTED 'rejected.>'
stream KV_PLACEMENTS '$KV.PLACEMENTS.>'
stream KV_PROJECTORS '$KV.PROJECTORS.>'
stream KV_CATALOGS '$KV.CATALOGS.>' '$JS.API.INFO'
stream KV_CONSUMERS '$KV.CONSUMERS.>'
stream KV_USERS '$KV.USERS.>'
stream KV_KEYS '$KV.KEYS.>'
stream KV_PREFERENCES '$KV.PREFERENCES.>'
stream KV_CONTACTS '$KV.CONTACTS.>'
stream KV_RECEIPTS '$KV.RECEIPTS.>'
stream DELIVERIES 'deliveries.>'
envelopes() {
    stream "ENVELOPES$suffix" "purges$suffix.>"
    # One answer is for many envelopes, and a message may be answered twice or never. nats-server keeps the way back of
    # each answer for as long as the projector may wait for it.
    case $known in *'"response_threshold"'*) return ;; esac
    for subject in "envelopes$suffix.>" "places$suffix.>"; do
        # As an older version of this script made it.
        ! has "$subject" || quietly nsc delete export --account "$name" --subject "$subject"
        quietly nsc add export --account "$name" --service --subject "$subject" --response-type Stream --response-threshold 5s
    done
}
each_shard envelopes

# --- The processes ------------------------------------------------------------------------------------------------

# Every process looks at the streams and at where tenants' envelopes are.
looks() {
    imports EVENTS '$JS.API.STREAM.INFO.@'
    imports REJECTED '$JS.API.STREAM.INFO.@'
    imports KV_PLACEMENTS '$JS.API.STREAM.INFO.@' '$JS.API.STREAM.MSG.GET.@' '$JS.API.CONSUMER.CREATE.@' \
        '$JS.API.CONSUMER.MSG.NEXT.@.*' '$JS.API.CONSUMER.INFO.@.*' '$JS.API.CONSUMER.DELETE.@.*'
}

# The projector makes the streams, reads EVENTS and writes the rest. Acknowledgements have two forms of subject, of
# which the server chooses one. For a rebuild it reads events and envelopes by consumers without a name, and it removes
# what was there before. It asks whether an event was rejected before it takes another one with the same id for its
# repetition. What is delivered later it puts into SCHEDULED.
process PROJECTOR
looks
# Copies of the messages of sources, which producers cannot publish.
imports EVENTS 'events.*.*.*.source.>'
imports EVENTS '$JS.API.STREAM.CREATE.@' '$JS.API.STREAM.MSG.GET.@' '$JS.API.CONSUMER.CREATE.@' '$JS.API.CONSUMER.MSG.NEXT.@.*'
imports EVENTS '$JS.API.STREAM.INFO.SCHEDULED' '$JS.API.STREAM.CREATE.SCHEDULED' '$JS.API.STREAM.MSG.GET.SCHEDULED' \
    '$JS.API.STREAM.MSG.DELETE.SCHEDULED' 'scheduled.>'
imports REJECTED '$JS.API.STREAM.CREATE.@' '$JS.API.STREAM.MSG.GET.@' 'rejected.>'
imports KV_PLACEMENTS '$JS.API.STREAM.CREATE.@' '$KV.PLACEMENTS.>'
imports KV_PROJECTORS '$JS.API.STREAM.INFO.@' '$JS.API.STREAM.CREATE.@' '$JS.API.STREAM.MSG.GET.@' '$KV.PROJECTORS.>'
imports KV_CATALOGS '$JS.API.INFO' '$JS.API.STREAM.INFO.@' '$JS.API.STREAM.CREATE.@' '$JS.API.DIRECT.GET.@.>' '$KV.CATALOGS.>'
projects() {
    imports EVENTS "\$JS.API.CONSUMER.INFO.@.projector$suffix" "\$JS.API.CONSUMER.CREATE.@.projector$suffix" \
        "\$JS.API.CONSUMER.DELETE.@.projector$suffix" \
        "\$JS.ACK.@.projector$suffix.>" "\$JS.ACK.*.*.@.projector$suffix.>"
    imports "ENVELOPES$suffix" '$JS.API.STREAM.INFO.@' '$JS.API.STREAM.MSG.GET.@' '$JS.API.STREAM.CREATE.@' \
        '$JS.API.STREAM.PURGE.@' '$JS.API.STREAM.MSG.DELETE.@' '$JS.API.CONSUMER.CREATE.@' '$JS.API.CONSUMER.MSG.NEXT.@.*' \
        "envelopes$suffix.>" "places$suffix.>"
}
each_shard projects
# Administrators ask which projectors run.
subject='$SRV.PING.tidings-projector'
has "$subject" || quietly nsc add export --account PROJECTOR --service --subject "$subject" --response-type Stream
user PROJECTOR projector

# A gateway reads ENVELOPES, by consumers of its own and by sequence, and keeps users' positions in the bucket
# CONSUMERS. It never writes envelopes; it purges those of a user who is deleted, and
# writes a notice of that. What clients and producers over HTTP publish it publishes as events; by the bucket RECEIPTS it knows those
# that come twice. What users want to be told is in the bucket PREFERENCES. Administrators look at rejected events, retry and drop them.
# It watches the bucket USERS, where it notes who is disabled, and the bucket KEYS with the API keys of producers. To retry an event that was not kept whole with its
# rejection, it asks which lives EVENTS has had.
# Gateways ask each other who is connected, within their account; administrators ask them from theirs.
process GATEWAY
for subject in '$SRV.PING.tidings-gateway' 'tidings.gateway.>'; do
    has "$subject" || quietly nsc add export --account GATEWAY --service --subject "$subject" --response-type Stream
done
looks
imports EVENTS 'events.>' '$JS.API.STREAM.MSG.GET.@'
imports REJECTED '$JS.API.CONSUMER.CREATE.@' '$JS.API.CONSUMER.MSG.NEXT.@.*' '$JS.API.CONSUMER.DELETE.@.*' \
    '$JS.API.STREAM.MSG.GET.@' '$JS.API.DIRECT.GET.@' '$JS.API.DIRECT.GET.@.>' '$JS.API.STREAM.MSG.DELETE.@'
imports KV_CONSUMERS '$JS.API.STREAM.INFO.@' '$JS.API.STREAM.CREATE.@' '$JS.API.STREAM.MSG.GET.@' '$JS.API.STREAM.PURGE.@' \
    '$JS.API.DIRECT.GET.@' '$JS.API.DIRECT.GET.@.>' '$JS.API.CONSUMER.CREATE.@' '$JS.API.CONSUMER.CREATE.@.>' \
    '$JS.API.CONSUMER.MSG.NEXT.@.>' '$JS.API.CONSUMER.DELETE.@.>' '$KV.CONSUMERS.>'
imports KV_PROJECTORS '$JS.API.STREAM.INFO.@' '$JS.API.STREAM.MSG.GET.@'
imports KV_USERS '$JS.API.STREAM.INFO.@' '$JS.API.STREAM.CREATE.@' '$JS.API.STREAM.MSG.GET.@' '$JS.API.CONSUMER.CREATE.@' \
    '$JS.API.CONSUMER.CREATE.@.>' '$JS.API.CONSUMER.MSG.NEXT.@.>' '$JS.API.CONSUMER.INFO.@.>' '$KV.USERS.>'
imports KV_KEYS '$JS.API.STREAM.INFO.@' '$JS.API.STREAM.CREATE.@' '$JS.API.STREAM.MSG.GET.@' '$JS.API.CONSUMER.CREATE.@' \
    '$JS.API.CONSUMER.CREATE.@.>' '$JS.API.CONSUMER.MSG.NEXT.@.>' '$JS.API.CONSUMER.INFO.@.>' '$JS.API.CONSUMER.DELETE.@.>' \
    '$KV.KEYS.>'
imports KV_PREFERENCES '$JS.API.STREAM.INFO.@' '$JS.API.STREAM.CREATE.@' '$JS.API.STREAM.MSG.GET.@' '$JS.API.STREAM.PURGE.@' \
    '$JS.API.DIRECT.GET.@.>' '$KV.PREFERENCES.>'
# Where users are reached who are not connected, encrypted.
imports KV_CONTACTS '$JS.API.STREAM.INFO.@' '$JS.API.STREAM.CREATE.@' '$JS.API.STREAM.MSG.GET.@' '$JS.API.STREAM.PURGE.@' \
    '$KV.CONTACTS.>'
imports KV_RECEIPTS '$JS.API.STREAM.INFO.@' '$JS.API.STREAM.CREATE.@' '$JS.API.STREAM.MSG.GET.@' '$JS.API.DIRECT.GET.@.>' \
    '$KV.RECEIPTS.>'
# Deliveries: a gateway says there that it runs. Administrators list and retry them, and what is known of those to a user who is deleted is removed.
imports DELIVERIES '$JS.API.STREAM.INFO.@' '$JS.API.STREAM.PURGE.@' '$JS.API.STREAM.MSG.GET.@' '$JS.API.CONSUMER.CREATE.@' \
    '$JS.API.CONSUMER.MSG.NEXT.@.*' '$JS.API.CONSUMER.DELETE.@.*' 'deliveries.due.>' 'deliveries.gateways.*'
delivers() {
    imports "ENVELOPES$suffix" '$JS.API.STREAM.INFO.@' '$JS.API.STREAM.MSG.GET.@' '$JS.API.STREAM.PURGE.@' \
        '$JS.API.CONSUMER.CREATE.@' '$JS.API.CONSUMER.CREATE.@.>' '$JS.API.CONSUMER.MSG.NEXT.@.>' \
        '$JS.API.DIRECT.GET.@' '$JS.API.DIRECT.GET.@.>' "purges$suffix.>"
}
each_shard delivers
user GATEWAY gateway

# A dispatcher reads ENVELOPES, where devices stand, who is disabled and what users want, and keeps what waits, what is due and what
# became of it in DELIVERIES. It asks gateways to save where a device stands. It reads where users are reached, and notes there what
# is gone. It writes nothing else but its own leases.
process DISPATCHER
looks
imports GATEWAY 'tidings.gateway.*.save.*'
imports KV_CONSUMERS '$JS.API.STREAM.INFO.@' '$JS.API.STREAM.CREATE.@' '$JS.API.STREAM.MSG.GET.@' \
    '$JS.API.DIRECT.GET.@' '$JS.API.DIRECT.GET.@.>' '$JS.API.CONSUMER.CREATE.@' '$JS.API.CONSUMER.CREATE.@.>' \
    '$JS.API.CONSUMER.MSG.NEXT.@.>' '$JS.API.CONSUMER.DELETE.@.>'
imports KV_PROJECTORS '$JS.API.STREAM.INFO.@' '$JS.API.STREAM.CREATE.@' '$JS.API.STREAM.MSG.GET.@'
for bucket in KV_USERS KV_PREFERENCES; do
    imports "$bucket" '$JS.API.STREAM.INFO.@' '$JS.API.STREAM.CREATE.@' '$JS.API.STREAM.MSG.GET.@' '$JS.API.DIRECT.GET.@.>'
done
imports KV_CONTACTS '$JS.API.STREAM.INFO.@' '$JS.API.STREAM.CREATE.@' '$JS.API.STREAM.MSG.GET.@' '$KV.CONTACTS.>'
imports DELIVERIES '$JS.API.STREAM.INFO.@' '$JS.API.STREAM.CREATE.@' '$JS.API.STREAM.MSG.GET.@' '$JS.API.STREAM.MSG.DELETE.@' \
    '$JS.API.CONSUMER.CREATE.@' '$JS.API.CONSUMER.MSG.NEXT.@.*' '$JS.API.CONSUMER.DELETE.@.*' 'deliveries.>'
dispatches() {
    imports KV_PROJECTORS "\$KV.PROJECTORS.dispatcher$suffix"
    imports "ENVELOPES$suffix" '$JS.API.STREAM.INFO.@' '$JS.API.STREAM.MSG.GET.@' '$JS.API.CONSUMER.CREATE.@' \
        '$JS.API.CONSUMER.MSG.NEXT.@.*' '$JS.API.DIRECT.GET.@' '$JS.API.DIRECT.GET.@.>'
}
each_shard dispatches
user DISPATCHER dispatcher

# People who use the command `tidings` or `nats` may do anything to each stream by its name. What has no stream's name in
# its subject (`nats stream ls`) asks the system account: `nats --creds sys.creds server report jetstream`.
process ADMIN
manages() {
    of_account "$1" "$1"
}
# Besides, a backup is sent in parts, which are confirmed.
of_account() {
    account=$1 managed=$2
    sent="tidings.backup.$managed.>"
    id_of "$account"
    has "$sent" || quietly nsc add import --account "$into" --src-account "$id" --remote-subject "$sent" --local-subject "$sent"
    set --
    for subject in '$JS.API.STREAM.*.@' '$JS.API.STREAM.*.*.@' '$JS.API.CONSUMER.*.@' '$JS.API.CONSUMER.*.@.>' \
        '$JS.API.CONSUMER.*.*.@.>' '$JS.API.DIRECT.GET.@' '$JS.API.DIRECT.GET.@.>' '$JS.ACK.@.>' '$JS.ACK.*.*.@.>' '$JS.SNAPSHOT.ACK.@.>'; do
        set -- "$@" "$(printf '%s' "$subject" | sed "s/@/$managed/g")"
    done
    imports "$account" "$@"
}
for name in EVENTS REJECTED KV_PLACEMENTS KV_PROJECTORS KV_CATALOGS KV_CONSUMERS KV_USERS KV_KEYS KV_PREFERENCES KV_CONTACTS KV_RECEIPTS DELIVERIES; do manages "$name"; done
of_account EVENTS SCHEDULED
imports KV_CATALOGS '$JS.API.INFO' '$KV.CATALOGS.>'
imports EVENTS 'events.>'
imports KV_PLACEMENTS '$KV.PLACEMENTS.>'
imports KV_PROJECTORS '$KV.PROJECTORS.>'
imports KV_CONSUMERS '$KV.CONSUMERS.>'
imports KV_USERS '$KV.USERS.>'
imports KV_KEYS '$KV.KEYS.>'
imports KV_PREFERENCES '$KV.PREFERENCES.>'
imports KV_CONTACTS '$KV.CONTACTS.>'
# A restore puts back what was written while its backup was made.
imports EVENTS 'scheduled.>'
imports REJECTED 'rejected.>'
imports DELIVERIES 'deliveries.>'
imports GATEWAY '$SRV.PING.tidings-gateway' 'tidings.gateway.>'
imports PROJECTOR '$SRV.PING.tidings-projector'
administers() {
    manages "ENVELOPES$suffix"
    # A restore up to an earlier moment projects.
    imports "ENVELOPES$suffix" "purges$suffix.>" "envelopes$suffix.>" "places$suffix.>"
}
each_shard administers
user ADMIN admin

# --- The sources --------------------------------------------------------------------------------------------------

# A stream of a team's own stays in the team's account. Projectors read it, by consumers without a name, and administrators
# check it; neither may change it.
for source in $sources; do
    team=${source%%/*} stream=${source#*/}
    known=$(described "$team") || known=
    [ -n "$known" ] || {
        echo "nats-accounts.sh: --source $source: there is no account $team in the key store; \`nsc list accounts\` shows those that are" >&2
        exit 1
    }
    for subject in "\$JS.API.STREAM.INFO.$stream" "\$JS.API.STREAM.MSG.GET.$stream"; do
        has "$subject" || quietly nsc add export --account "$team" --service --subject "$subject"
    done
    for subject in "\$JS.API.CONSUMER.CREATE.$stream" "\$JS.API.CONSUMER.MSG.NEXT.$stream.*"; do
        has "$subject" || quietly nsc add export --account "$team" --service --subject "$subject" --response-type Stream
    done
    for reader in PROJECTOR ADMIN; do
        process "$reader"
        imports "$team" "\$JS.API.STREAM.INFO.$stream" "\$JS.API.STREAM.MSG.GET.$stream" \
            "\$JS.API.CONSUMER.CREATE.$stream" "\$JS.API.CONSUMER.MSG.NEXT.$stream.*"
    done
done

# --- The producers ------------------------------------------------------------------------------------------------

# A tenant's producers publish its events, hear whether they are stored, and nothing else. What clients publish has a
# subject of five tokens, which gateways alone may use.
for tenant in $tenants; do
    process "PRODUCERS_$tenant"
    # As an older version of this script granted it.
    ! has "events.$tenant.>" || quietly nsc delete import --account "$into" --subject "events.$tenant.>"
    imports EVENTS "events.$tenant.*.*"
    user "PRODUCERS_$tenant" "$tenant-producer"
done

# --- What nats-server includes ------------------------------------------------------------------------------------

rm -f nats-accounts.conf sys.creds
quietly nsc generate config --mem-resolver --config-file nats-accounts.conf
quietly nsc generate creds --account SYS --name sys --output-file sys.creds

if [ -n "$servers" ]; then
    password=$(sed -n 's/^ *password: "\(.*\)"$/\1/p' nats-routes.conf 2>/dev/null || true)
    [ -n "$password" ] || password=$(od -An -N 24 -t x1 /dev/urandom | tr -d ' \n')
    {
        printf 'authorization {\n    user: "tidings"\n    password: "%s"\n    timeout: 5\n}\nroutes: [\n' "$password"
        for server in $servers; do
            case $server in *:*) ;; *) server=$server:6222 ;; esac
            printf '    "nats-route://tidings:%s@%s"\n' "$password" "$server"
        done
        printf ']\n'
    } >nats-routes.conf
fi
