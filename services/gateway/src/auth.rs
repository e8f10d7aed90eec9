//! Authentication: from a token to the user that it names and the addresses that it grants.

mod authenticate;
mod disabled_users;
mod principal;

pub(crate) use self::authenticate::Authenticator;
pub(crate) use self::disabled_users::{DisabledUsers, UserBlock};
pub(crate) use self::principal::{Administrator, Principal};
