#!/bin/sh
# Makes what nats-server.conf includes, and one .creds file for each user, with `nsc`
# (https://github.com/nats-io/nsc). Permissions are in the users' tokens: what is not listed is denied.
#
# Keep nsc's key store (`nsc env` says where) off the servers and backed up: whoever has it is the operator.
set -eu

# The shards behind the first that tenants may be spread over; a number that nobody uses costs nothing.
shards='1 2 3'

# A list for every shard: `@` stands for nothing in the first, for `_1` in shard 1, and so on.
in_shards() {
    list=$(printf '%s' "$1" | sed 's/@//g')
    for shard in $shards; do
        list="$list,$(printf '%s' "$1" | sed "s/@/_$shard/g")"
    done
    printf '%s' "$list"
}

# Looking at the streams and at where tenants' envelopes are, which every process does.
streams='$JS.API.STREAM.INFO.EVENTS,$JS.API.STREAM.INFO.REJECTED,$JS.API.STREAM.INFO.KV_PLACEMENTS,$JS.API.STREAM.MSG.GET.KV_PLACEMENTS,$JS.API.CONSUMER.CREATE.KV_PLACEMENTS,$JS.API.CONSUMER.MSG.NEXT.KV_PLACEMENTS.*,$JS.API.CONSUMER.INFO.KV_PLACEMENTS.*,$JS.API.CONSUMER.DELETE.KV_PLACEMENTS.*'
streams="$streams,$(in_shards '$JS.API.STREAM.INFO.ENVELOPES@,$JS.API.STREAM.MSG.GET.ENVELOPES@')"

# The projector makes the streams, reads EVENTS and writes the rest. Acknowledgements have two forms of
# subject, of which the server chooses one. What is made anew it reads by consumers without a name, events and
# envelopes, and it removes what was made before.
projector_pub='$JS.ACK.EVENTS.>,$JS.ACK.*.*.EVENTS.>,$JS.API.STREAM.CREATE.EVENTS,$JS.API.STREAM.CREATE.REJECTED,$JS.API.STREAM.MSG.GET.EVENTS,$JS.API.CONSUMER.CREATE.EVENTS,$JS.API.CONSUMER.MSG.NEXT.EVENTS.*,rejected.>,$JS.API.INFO,$JS.API.STREAM.INFO.KV_CATALOGS,$JS.API.STREAM.CREATE.KV_CATALOGS,$JS.API.DIRECT.GET.KV_CATALOGS.>,$KV.CATALOGS.>,$JS.API.STREAM.CREATE.KV_PLACEMENTS,$KV.PLACEMENTS.>'
projector_pub="$projector_pub,$(in_shards '$JS.API.STREAM.CREATE.ENVELOPES@,$JS.API.STREAM.PURGE.ENVELOPES@,$JS.API.STREAM.MSG.DELETE.ENVELOPES@,$JS.API.CONSUMER.CREATE.ENVELOPES@,$JS.API.CONSUMER.MSG.NEXT.ENVELOPES@.*,$JS.API.CONSUMER.INFO.EVENTS.projector@,$JS.API.CONSUMER.CREATE.EVENTS.projector@,envelopes@.>,places@.>,fences@.>')"

# A gateway reads ENVELOPES, by consumers of its own and by sequence, and keeps users' positions in the bucket
# CONSUMERS. It writes envelopes never; it purges those of a user who is deleted, which interrupts the
# projector's writing with fences. What clients say it publishes as events.
# Who is switched off is in the bucket USERS, which it watches. Administrators look at rejected events, try them again and
# remove them.
gateway_pub='events.>,$JS.API.STREAM.INFO.KV_CONSUMERS,$JS.API.STREAM.CREATE.KV_CONSUMERS,$JS.API.STREAM.MSG.GET.KV_CONSUMERS,$JS.API.STREAM.PURGE.KV_CONSUMERS,$JS.API.DIRECT.GET.KV_CONSUMERS,$JS.API.DIRECT.GET.KV_CONSUMERS.>,$JS.API.CONSUMER.CREATE.KV_CONSUMERS,$JS.API.CONSUMER.CREATE.KV_CONSUMERS.>,$JS.API.CONSUMER.MSG.NEXT.KV_CONSUMERS.>,$JS.API.CONSUMER.DELETE.KV_CONSUMERS.>,$KV.CONSUMERS.>,$JS.API.STREAM.INFO.KV_USERS,$JS.API.STREAM.CREATE.KV_USERS,$JS.API.STREAM.MSG.GET.KV_USERS,$JS.API.CONSUMER.CREATE.KV_USERS,$JS.API.CONSUMER.CREATE.KV_USERS.>,$JS.API.CONSUMER.MSG.NEXT.KV_USERS.>,$JS.API.CONSUMER.INFO.KV_USERS.>,$KV.USERS.>,$JS.API.CONSUMER.CREATE.REJECTED,$JS.API.CONSUMER.MSG.NEXT.REJECTED.*,$JS.API.CONSUMER.DELETE.REJECTED.*,$JS.API.DIRECT.GET.REJECTED,$JS.API.DIRECT.GET.REJECTED.>,$JS.API.STREAM.MSG.DELETE.REJECTED,$JS.API.STREAM.MSG.GET.EVENTS'
gateway_pub="$gateway_pub,$(in_shards '$JS.API.CONSUMER.CREATE.ENVELOPES@,$JS.API.CONSUMER.CREATE.ENVELOPES@.>,$JS.API.CONSUMER.MSG.NEXT.ENVELOPES@.>,$JS.API.DIRECT.GET.ENVELOPES@,$JS.API.DIRECT.GET.ENVELOPES@.>,$JS.API.STREAM.PURGE.ENVELOPES@,purges@.>,fences@.>')"

# Gateways ask each other who is connected, and to close connections. Whoever may publish on
# tidings.gateway.*.*.<tenant> may do that for the tenant, and whoever may subscribe to tidings.answers.> hears
# the answers; nobody else should. For `nats service ls`, use --inbox-prefix tidings.answers.
service_pub='$SRV.PING.tidings-gateway,tidings.>'
service_sub='$SRV.*,$SRV.*.tidings-gateway,$SRV.*.tidings-gateway.*,tidings.>'

# A producer publishes its tenant's events. Its client must use this prefix for inboxes (`inbox_prefix`,
# `custom_inbox_prefix`, …): whoever may subscribe to _INBOX.> reads what gateways read.
producer_pub='events.ops.>'
producer_sub='_INBOX_ops_producer.>'

nsc add operator --name tidings --sys
nsc add account --name TIDINGS
nsc edit account --name TIDINGS --js-mem-storage -1 --js-disk-storage -1
nsc add user --account TIDINGS --name projector --allow-pub "$streams,$projector_pub" --allow-sub '_INBOX.>'
nsc add user --account TIDINGS --name gateway --allow-pub "$streams,$gateway_pub,$service_pub" --allow-sub "_INBOX.>,$service_sub"
nsc add user --account TIDINGS --name ops-producer --allow-pub "$producer_pub" --allow-sub "$producer_sub"
# For people who look at streams and repair; everything in the account.
nsc add user --account TIDINGS --name admin

for user in projector gateway ops-producer admin; do
    nsc generate creds --account TIDINGS --name "$user" --output-file "$user.creds"
    chmod 600 "$user.creds"
done
nsc generate config --mem-resolver --config-file nats-accounts.conf
