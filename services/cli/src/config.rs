//! `tidings config`: the configuration as it applies, where each value comes from, and whether a process would accept it.

use std::path::Path;
use std::process::ExitCode;

use tidings_runtime::config::{SecretRule, Setting};

use crate::arguments::{ConfigOptions, Process};
use crate::failure::Failure;
use crate::output::{counted, print, print_text, visible};
use crate::{catalogs, issuers, serve};

pub(crate) async fn run(file: Option<&Path>, options: &ConfigOptions) -> Result<ExitCode, Failure> {
    if let Some(process) = options.check {
        check(file, process).await?;
    } else if options.effective {
        let settings = serve::settings(file)?;
        let chosen = settings.iter().filter(|setting| setting.is_changed() || !options.changed);
        for setting in chosen {
            print(&visible(&setting.to_string()))?;
        }
    } else {
        print_text(&serve::effective_configuration(file)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Does all that the process does before it listens and connects.
async fn check(file: Option<&Path>, process: Process) -> Result<(), Failure> {
    let rule = match process {
        Process::Gateway => SecretRule::Required,
        Process::Projector | Process::Dispatcher => SecretRule::Optional,
    };
    let config = serve::configuration(file, rule)?;
    let read = catalogs::read(&config.schemas)?;
    let name = match process {
        Process::Gateway => {
            tidings_gateway::identity(&config.gateway).await?;
            issuers::verifier(&config.access)?;
            serve::rules(&config)?;
            "gateway"
        }
        Process::Projector => {
            serve::shards(&config)?;
            "projector"
        }
        Process::Dispatcher => {
            serve::dispatcher::webhooks(&config)?;
            "dispatcher"
        }
    };
    let changed = serve::settings(file)?.iter().filter(|setting| Setting::is_changed(setting)).count();
    let changed = counted(u64::try_from(changed)?, "value");
    let tenants = read.tenants();
    print(&visible(&format!("a {name} accepts it: {changed} other than the defaults, catalogs of {tenants}")))
}
