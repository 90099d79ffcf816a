//! `hapax simulate`: a provider that misbehaves on request, until a signal ends it.

use super::{Failed, print};
use crate::clock::SystemClock;
use crate::simulate::{Simulator, parse_script};
use std::path::Path;
use std::sync::Arc;

pub(super) fn run(listen: &str, script: Option<&Path>) -> Result<(), Failed> {
    let script = script.map(read).transpose()?;
    let simulator = Simulator::start(listen, Arc::new(SystemClock))
        .map_err(|error| super::cannot_listen(listen, &error))?;
    if let Some(script) = script {
        simulator.apply(script);
    }
    print(&format!(
        "Simulated provider at {url}: OpenAI below /v1, Anthropic at /v1/messages, Gemini below /v1beta,\n\
         Azure below /openai, Ollama below /api.\n\
         A model's name may ask for misbehaviour, as in 'gpt-4o!status=503' or 'gpt-4o!cut_after=5'.\n\n  \
         curl {url}/v1/chat/completions -H 'Content-Type: application/json' \\\n    \
         -d '{{\"model\":\"gpt-4o\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'",
        url = simulator.url()
    ))?;
    super::duty::wait_for_end()?;
    Ok(())
}

fn read(path: &Path) -> Result<crate::simulate::Script, Failed> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failed::Running(format!("cannot read {name}: {error}")))?;
    parse_script(&text).map_err(|error| Failed::Config(format!("{name}: {error}")))
}
