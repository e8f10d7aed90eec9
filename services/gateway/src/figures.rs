//! Every metric of the gateway. Who counts is where it happens.

tidings_metrics::declare! {
    /// Every metric of the gateway.
    pub(crate) METRICS {
        HANDSHAKES: Counter "tidings_gateway_handshakes_total" ["result"]
            "Requests for a WebSocket, by `result`: `accepted`, or the code with which it was refused.",
        CONNECTIONS: Gauge "tidings_gateway_connections" ["form", "state"]
            "Connections, by `form` (`plain`, or `sequenced` with the subprotocol `tidings.v1`) and `state`: `live` (given what \
             comes as it comes), `catching_up` (behind, and served from the replica), `moving` (to another shard), `leaving` \
             (waiting for acknowledgements, saving the position, or closing).",
        DELIVERED: Counter "tidings_gateway_delivered_messages_total" ["source"]
            "Messages given to connections, by `source`: `live` as they came; in a replay from `memory`, one by one from the \
             `stream`, or by a `scan` of it.",
        SENT: Counter "tidings_gateway_sent_bytes_total" []
            "Bytes of WebSocket frames that sockets have taken, before TLS.",
        RECEIVED: Counter "tidings_gateway_received_messages_total" [] "Messages that came from clients, within the limits.",
        RECEIVED_BYTES: Counter "tidings_gateway_received_bytes_total" [] "Bytes that came from clients, after TLS.",
        ACKNOWLEDGED: Counter "tidings_gateway_acknowledgements_total" []
            "Acknowledgements of clients that said something new: one may cover many messages.",
        CLOSES: Counter "tidings_gateway_closes_total" ["by", "code"]
            "Connections that ended, `by` whom, and with which `code`: `gateway`; `client`, with `other` for a code that is none \
             of the usual; `nobody` without a Close (1006).",
        ERRORS: Counter "tidings_gateway_errors_total" ["code"] "Errors that clients were answered with, by `code`.",
        FULL: Counter "tidings_gateway_full_queues_total" []
            "How often a connection's queue was full, so that it left the live path (`gateway.window_messages`, \
             `gateway.window_bytes`).",
        REPLAYS: Gauge "tidings_gateway_replays" ["source", "state"]
            "Replays for connections that are behind: `running` from `memory`, `waiting` for a turn to `scan` the stream, and \
             `running` such scans.",
        READS: Counter "tidings_gateway_hot_tail_reads_total" ["result"]
            "Envelopes that replays wanted: `hit` if they were in memory, else `miss`.",
        DELIVERY: Histogram "tidings_gateway_delivery_seconds" []
            "Time from when an envelope was stored until it was written to the socket of a live connection, in seconds; each \
             write counts once, with the oldest envelope in it. `tidings_projector_delay_seconds` is the part before.",
        REFUSALS: Counter "tidings_gateway_limit_refusals_total" ["limit"]
            "Requests and messages that a `limit` has refused; each is named as its setting.",
        TENANT_CONNECTIONS: Gauge "tidings_gateway_tenant_connections" ["tenant"]
            "Connections of the tenant's users, from the end of the handshake on.",
        TENANT_DELIVERED: Counter "tidings_gateway_tenant_delivered_messages_total" ["tenant"]
            "Messages that were given to connections of the tenant as they came; those of a replay are not counted here.",
        PUBLISHED: Counter "tidings_gateway_tenant_published_events_total" ["tenant"]
            "Events that the tenant's clients published, within the limit.",
        TENANT_REFUSALS: Counter "tidings_gateway_tenant_limit_refusals_total" ["tenant", "limit"]
            "Requests and messages of the tenant's users that a `limit` has refused.",
        SAVED: Counter "tidings_gateway_consumer_saves_total" ["result"]
            "Attempts to save a device's position and subscriptions, by `result`: `saved`, `failed` (tried again), `refused` \
             (not tried again).",
        AGE: Histogram "tidings_gateway_consumer_save_seconds" []
            "Time from the first change of a consumer that was not saved until it was, in seconds.",
        LAG: Gauge "tidings_gateway_reader_lag_messages" ["shard"]
            "Messages of the shard's stream of envelopes that the gateway has not handed to its workers yet, as of the last \
             second.",
        LAG_SECONDS: Gauge "tidings_gateway_reader_lag_seconds" ["shard"]
            "For how long there have been such messages, in seconds; 0 while it keeps up.",
        INDEXED: Gauge "tidings_gateway_mailbox_envelopes" ["shard"]
            "Envelopes in the index by address, from which returning clients are served.",
        INDEX: Gauge "tidings_gateway_mailbox_bytes" ["shard"] "Memory of that index, in bytes.",
        HOT: Gauge "tidings_gateway_hot_tail_envelopes" ["shard"] "Newest envelopes that are in memory.",
        HOT_BYTES: Gauge "tidings_gateway_hot_tail_bytes" ["shard"]
            "Memory of those, in bytes, bounded by `gateway.hot_tail_bytes`.",
    }
}
