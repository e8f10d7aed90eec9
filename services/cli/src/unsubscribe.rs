//! The keys of links by which users unsubscribe, as the configuration names them.

use tidings_access::UnsubscribeKeys;
use tidings_runtime::config::Config;

use crate::failure::Failure;

/// Reads the keys; none, if the configuration names no file.
pub(crate) fn keys(config: &Config) -> Result<UnsubscribeKeys, Failure> {
    let Some(path) = &config.email.unsubscribe_keys_file else { return Ok(UnsubscribeKeys::new([])?) };
    let (key, file) = ("email.unsubscribe_keys_file", path.display());
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("`{key}` is {file:?}, expected a file that can be read ({error})"))?;
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return Err(format!("`{key}` is {file:?}, which has no secret; expected one on each line").into());
    }
    let keys = UnsubscribeKeys::new(lines.into_iter().map(str::as_bytes));
    Ok(keys.map_err(|error| format!("`{key}` is {file:?}: {error}"))?)
}
