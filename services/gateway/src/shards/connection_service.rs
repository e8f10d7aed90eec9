//! Answers over NATS which connections this gateway has: each question goes to one worker. And saves what is known here of
//! a device that has come to another gateway.

use std::sync::Arc;

use tidings_streams::connections::{ConnectionService, Operation, Ordinal, Page, Question, Search};
use tidings_streams::consumers::ConsumerName;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::context::Context;
use crate::error::one_line;
use crate::worker::Workers;

/// Answers one question after the other until cancelled. A gateway that cannot be asked serves its clients all the same.
pub(crate) async fn answer_questions(
    context: &Arc<Context>,
    workers: &Workers,
    cancelled: &CancellationToken,
) {
    let client = context.topology.client();
    let mut service = match ConnectionService::start(&client, &context.name).await {
        Ok(service) => service,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            return tracing::error!(error, "this gateway cannot be asked for its connections");
        }
    };
    let saves = TaskTracker::new();
    while let Some(Some(question)) = cancelled.run_until_cancelled(service.next()).await {
        if question.operation == Operation::Save {
            // Devices come at any rate, and do not wait for one another.
            saves.spawn(save(Arc::clone(context), question));
            continue;
        }
        if question.operation == Operation::Receive {
            let workers = workers.clone();
            saves.spawn(async move { receive(&workers, question).await });
            continue;
        }
        let page = page(workers, &question).await;
        question.answer(page).await;
    }
    service.stop().await;
    saves.close();
    saves.wait().await;
}

/// Saves what is known here of a device.
async fn save(context: Arc<Context>, question: Question) {
    let Search { user, device, .. } = question.search.clone();
    let (user, device) = (user.unwrap_or_default(), device.unwrap_or_default());
    let saved = match ConsumerName::new(question.tenant.clone(), user, device) {
        Ok(name) => context.consumers.save_in_turn(&name).await.map_err(|error| one_line(&error)),
        Err(error) => Err(error.to_string()),
    };
    match saved {
        Ok(()) => question.answer(Page::default()).await,
        Err(reason) => question.refuse(reason).await,
    }
}

/// Takes a client's message to its connection.
async fn receive(workers: &Workers, question: Question) {
    let Search { user, ordinal, message, .. } = question.search.clone();
    let (Some(user), Some(ordinal), Some(message)) = (user, ordinal, message) else {
        return question.refuse("the request names no user, connection or message".to_owned()).await;
    };
    if workers.receive((&question.tenant, &user), ordinal, message).await {
        question.answer(Page::default()).await;
    } else {
        question.refuse("the user has no such connection here".to_owned()).await;
    }
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
