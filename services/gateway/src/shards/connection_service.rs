//! Answers over NATS which connections this gateway has: each question goes to one worker.

use tidings_streams::connections::{ConnectionService, Ordinal, Page, Question, Search};
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::worker::handle::Workers;

/// Answers one question after the other until cancelled. A gateway that cannot be asked serves its clients all the same.
pub(crate) async fn answer_questions(context: &Context, workers: &Workers, cancelled: &CancellationToken) {
    let client = context.topology.client();
    let mut service = match ConnectionService::start(&client, &context.name).await {
        Ok(service) => service,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            return tracing::error!(error, "this gateway cannot be asked for its connections");
        }
    };
    while let Some(Some(question)) = cancelled.run_until_cancelled(service.next()).await {
        let page = page(workers, &question).await;
        question.answer(page).await;
    }
    service.stop().await;
}

/// The next page: a worker's, with the next worker behind its end.
async fn page(workers: &Workers, question: &Question) -> Page {
    let Question { operation, tenant, search, .. } = question;
    // All that is asked about one connection, one worker can answer.
    let (index, after) = match search.ordinal {
        Some(ordinal) => (ordinal.worker, Ordinal { number: ordinal.number.saturating_sub(1), ..ordinal }),
        None => (search.after.worker, search.after),
    };
    let search = Search { after, ..search.clone() };
    let listed = workers.list(index, *operation, tenant.clone(), search).await;
    let Some((mut page, is_followed)) = listed else { return Page::default() };
    if question.search.ordinal.is_some() {
        page.next = None;
    } else if page.next.is_none() && is_followed {
        page.next = Some(Ordinal { worker: index + 1, number: 0 });
    }
    page
}
