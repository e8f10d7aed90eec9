//! Prints a command's failure.

use std::error::Error;

use tidings_runtime::config::ConfigErrors;

use crate::catalogs::CatalogsError;
use crate::failure::line;
use crate::output::remark;

/// Writes the error and its sources to standard error.
pub(crate) fn report(failure: &(dyn Error + 'static)) {
    // These errors list problems in files. In any other error, a line break comes from untrusted text.
    let is_list = failure.is::<ConfigErrors>() || failure.is::<CatalogsError>();
    let text = line(failure);
    if is_list { remark(text.lines()) } else { remark([&*text]) }
}
