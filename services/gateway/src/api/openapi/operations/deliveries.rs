//! The operations about deliveries.

use super::Operation;
use crate::error::ApiCode;

pub(super) fn deliveries() -> Vec<Operation> {
    let all = "/api/v1/deliveries";
    let one = "/api/v1/deliveries/{user}/{delivery}";
    let at = [ApiCode::Path, ApiCode::NotFound];
    vec![
        Operation::admin(
            ("get", all),
            "listDeliveries",
            "Lists what became of deliveries, and those that wait",
        )
        .parameter("query", "user", false, "Only those to this user.")
        .parameter("query", "event", false, "Only those of the event with this id.")
        .parameter("query", "delivery", false, "Only the one with this id.")
        .parameter("query", "status", false, "Only those with this status.")
        .lists("A delivery in each line, by the newest fact about it.", "Delivery"),
        Operation::admin(("get", one), "showDelivery", "Shows each attempt of a delivery and its outcome")
            .gives("What became of it, in order.", "Facts")
            .refused(&at),
        Operation::admin(
            ("post", "/api/v1/deliveries/{user}/{delivery}/retry"),
            "retryDelivery",
            "Makes a delivery again that was not sent, unless it was received meanwhile",
        )
        .json("Nothing", false)
        .done("It is due again.")
        .refused(&at)
        .refused(&[ApiCode::DeliveryDecided]),
    ]
}
