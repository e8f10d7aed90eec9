//! Answering who is connected here: questions come over NATS, and each goes to one shard.

use std::sync::Arc;

use tidings_streams::connections::{ConnectionService, Ordinal, Page, Question, Search};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::context::Shared;
use crate::shards::Lanes;
use crate::worker::{ShardHandle, Survey};

/// Answers one question after the other until cancelled. A gateway that cannot be asked serves its clients all
/// the same.
pub(crate) async fn answer(
    shared: &Shared,
    lanes: &watch::Receiver<Arc<Lanes>>,
    cancelled: &CancellationToken,
) {
    let client = shared.topology.client();
    let mut service = match ConnectionService::start(&client, &shared.name).await {
        Ok(service) => service,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            return tracing::error!(error, "nobody can ask who is connected here");
        }
    };
    while let Some(Some(question)) = cancelled.run_until_cancelled(service.next()).await {
        let lanes = Arc::clone(&lanes.borrow());
        let page = page(lanes.shards(), &question).await;
        question.answer(page).await;
    }
    service.stop().await;
}

/// The next page: a shard's, with the next shard behind its end.
async fn page(shards: &[ShardHandle], question: &Question) -> Page {
    let Question { operation, tenant, search, .. } = question;
    // All that is asked about one connection, one shard can tell.
    let (shard, after) = match search.ordinal {
        Some(ordinal) => (ordinal.shard, Ordinal { number: ordinal.number.saturating_sub(1), ..ordinal }),
        None => (search.after.shard, search.after),
    };
    let Some(handle) = shards.get(shard) else { return Page::default() };
    let search = Search { after, ..search.clone() };
    let survey = Survey { operation: *operation, tenant: tenant.clone(), search };
    let mut page = handle.survey(survey).await.unwrap_or_default();
    if question.search.ordinal.is_some() {
        page.next = None;
    } else if page.next.is_none() && shard + 1 < shards.len() {
        page.next = Some(Ordinal { shard: shard + 1, number: 0 });
    }
    page
}
