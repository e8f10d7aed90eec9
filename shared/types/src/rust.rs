//! Rust, for the crate `tidings-producer`: a module with a struct for each event's data, a `Producer` with a method for each
//! event, and the catalog itself.

mod names;
mod types;

use proc_macro2::TokenStream;
use quote::quote;
use tidings_catalog::{CatalogError, EventShape, Files, event_shapes};
use tidings_model::Tenant;

use self::names::Names;
use self::types::{Types, docs, prefixed};

/// Types and traits in the module's scope. Generated types get other names.
const TAKEN: [&str; 21] = [
    "Catalog",
    "Clone",
    "ConnectError",
    "Copy",
    "Debug",
    "Default",
    "Deserialize",
    "Eq",
    "Event",
    "EventData",
    "Hash",
    "Option",
    "PartialEq",
    "Producer",
    "PublishError",
    "Receipt",
    "Result",
    "Serialize",
    "Settings",
    "Stored",
    "Vec",
];

/// Methods of `Producer` itself, which generated methods must not hide.
const METHODS: [&str; 9] =
    ["connect", "publish", "cancel", "enqueue", "try_enqueue", "flush", "shutdown", "deref", "clone"];

/// Returns a Rust module named after the tenant, for `include!`.
pub fn rust_producer(tenant: &Tenant, files: &Files) -> Result<String, RustError> {
    let shapes = event_shapes(tenant, files)?;
    let mut types = Types::except(&TAKEN);
    let mut names = Names::default();
    for method in METHODS {
        names.snake(method);
    }
    let (methods, data): (Vec<_>, Vec<_>) =
        shapes.iter().map(|shape| event(&mut types, &mut names, shape)).unzip();
    let module = Names::default().snake(tenant.as_str());
    let about = docs(&format!(
        "The events of tenant `{tenant}`, generated from its catalog by `tidings-producer-build`."
    ));
    let (types, catalog, producer) = (types.into_tokens(), catalog(tenant, files), producer(&methods));
    // Lints of the surrounding code do not apply to generated code.
    let tokens = quote! {
        #about
        #[allow(dead_code, missing_docs, unreachable_pub, unused_imports, clippy::all, clippy::pedantic)]
        pub mod #module {
            use ::tidings_producer::catalog::Catalog;
            use ::tidings_producer::data::serde::{Deserialize, Serialize};
            use ::tidings_producer::data::{self, EventData};
            use ::tidings_producer::{ConnectError, Event, PublishError, Receipt, Settings, Stored};
            #producer
            #types
            #(#data)*
            #catalog
        }
    };
    let file = syn::parse2(tokens).map_err(|source| RustError::NoRust { tenant: tenant.clone(), source })?;
    Ok(prettyplease::unparse(&file))
}

/// Why no Rust is generated.
#[derive(Debug, thiserror::Error)]
pub enum RustError {
    /// The catalog has mistakes.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The generator has a bug.
    #[error("what is generated for tenant {tenant} is not valid Rust; this is a bug of the generator")]
    NoRust {
        /// The tenant.
        tenant: Tenant,
        /// The syntax error.
        #[source]
        source: syn::Error,
    },
}

/// Generates the methods of an event, and its data's `EventData`.
fn event(types: &mut Types, names: &mut Names, shape: &EventShape) -> (TokenStream, TokenStream) {
    let name = shape.event.to_string();
    let data = types.event(&name, &shape.message, &shape.documentation, &shape.data);
    let method = names.snake(&name);
    let enqueue = names.snake(&prefixed("enqueue", &method).to_string());
    let publish_doc = docs(&format!("Publishes `{name}`, and returns when it is stored."));
    let enqueue_doc = docs(&format!("Enqueues `{name}`, and returns when there is room for it."));
    let methods = quote! {
        #publish_doc
        pub async fn #method(&self, data: &#data) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        #enqueue_doc
        pub async fn #enqueue(&self, data: &#data) -> Result<Receipt, PublishError> {
            self.0.enqueue(Event::of(data)?).await
        }
    };
    let says = quote! { impl EventData for #data { const EVENT: &'static str = #name; } };
    (methods, says)
}

fn producer(methods: &[TokenStream]) -> TokenStream {
    quote! {
        /// Publishes this tenant's events. It is a [`::tidings_producer::Producer`] with a method for each of them.
        #[derive(Debug)]
        pub struct Producer(::tidings_producer::Producer);

        impl Producer {
            /// Connects; events that the catalog would reject are refused before they are sent.
            pub async fn connect(settings: Settings) -> Result<Self, ConnectError> {
                let settings = settings.catalog(catalog()?);
                ::tidings_producer::Producer::connect(TENANT, settings).await.map(Self)
            }
            #(#methods)*
        }

        impl ::std::ops::Deref for Producer {
            type Target = ::tidings_producer::Producer;

            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }
    }
}

/// The catalog, as it was when the module was generated.
fn catalog(tenant: &Tenant, files: &Files) -> TokenStream {
    let tenant = tenant.as_str();
    let files = files.iter().map(|(name, text)| quote! { (#name, #text) });
    quote! {
        /// The tenant of these events.
        pub const TENANT: &str = #tenant;

        /// Returns the catalog that this was generated from.
        pub fn catalog() -> Result<Catalog, ConnectError> {
            ::tidings_producer::catalog::parse(TENANT, FILES)
        }

        const FILES: &[(&str, &str)] = &[#(#files),*];
    }
}
