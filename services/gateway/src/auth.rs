//! Who a client is and what its token opens.

pub(crate) mod authenticate;
pub(crate) mod denied;
pub(crate) mod disabled_users;
