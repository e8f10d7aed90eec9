//! Generates the Rust types of data.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use tidings_catalog::{Member, Shape};

use super::names::Names;

/// The generated types of a module.
#[derive(Debug, Default)]
pub(crate) struct Types {
    names: Names,
    /// The types of members: wanted name, shape, actual name.
    known: Vec<(String, Shape, Ident)>,
    made: Vec<TokenStream>,
}

impl Types {
    /// Reserves names that the module uses for other things.
    pub(crate) fn except(taken: &[&str]) -> Self {
        let mut types = Self::default();
        for name in taken {
            types.names.camel(name);
        }
        types
    }

    pub(crate) fn into_tokens(self) -> TokenStream {
        self.made.into_iter().collect()
    }

    /// Generates a struct for the data of an event and returns its name. Types of members are named after `message`,
    /// since several events may share them.
    pub(crate) fn event(&mut self, event: &str, message: &str, about: &str, data: &Shape) -> Ident {
        let name = self.names.camel(event);
        let doc = docs(&format!("The data of `{event}`.\n\n{about}"));
        let made = match data {
            Shape::Object { members, is_open } => self.structure(&name, message, &doc, members, *is_open),
            other => {
                let inside = self.of(other, message);
                quote! {
                    #doc
                    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
                    #[serde(crate = "::tidings_producer::data::serde")]
                    pub struct #name(pub #inside);
                }
            }
        };
        self.made.push(made);
        name
    }

    fn structure(
        &mut self,
        name: &Ident,
        outer: &str,
        doc: &TokenStream,
        members: &[Member],
        is_open: bool,
    ) -> TokenStream {
        let mut names = Names::default();
        let fields: Vec<_> = members.iter().map(|member| self.field(&mut names, outer, member)).collect();
        let other = is_open.then(|| names.snake("other"));
        let other_field = other.as_ref().map(|name| {
            quote! {
                /// Further members.
                #[serde(flatten)]
                pub #name: data::Map<String, data::Value>,
            }
        });
        let declared = fields.iter().map(|field| &field.declaration);
        // Optional members may be left to `..new(…)`, or to `..Default::default()` if no member is required.
        let is_required = fields.iter().any(|field| field.is_required);
        let default = (!is_required).then(|| quote! { Default, });
        let is_all = fields.iter().all(|field| field.is_required) && !is_open;
        let new = (is_required && !is_all).then(|| constructor(name, &fields, other.as_ref()));
        quote! {
            #doc
            #[derive(Clone, Debug, #default PartialEq, Deserialize, Serialize)]
            #[serde(crate = "::tidings_producer::data::serde")]
            pub struct #name { #(#declared)* #other_field }
            #new
        }
    }

    fn field(&mut self, names: &mut Names, outer: &str, member: &Member) -> Field {
        let Member { name: json, documentation, shape, is_required } = member;
        let name = names.snake(json);
        let doc = docs(documentation);
        let rename = (name != json.as_str()).then(|| quote! { #[serde(rename = #json)] });
        let number = (*shape == Shape::Number)
            .then(|| quote! { #[serde(serialize_with = "::tidings_producer::data::number")] });
        let kind = self.of(shape, &format!("{outer}_{json}"));
        let declaration = if *is_required {
            quote! { #doc #rename #number pub #name: #kind, }
        } else {
            quote! {
                #doc
                #rename
                #[serde(default, skip_serializing_if = "Option::is_none")]
                #number
                pub #name: Option<#kind>,
            }
        };
        Field { is_text: *shape == Shape::Text, is_required: *is_required, name, kind, declaration }
    }

    /// Returns the type of a value. A generated type is called `name`.
    fn of(&mut self, shape: &Shape, name: &str) -> TokenStream {
        match shape {
            Shape::Any => quote! { data::Value },
            Shape::Text => quote! { String },
            Shape::Integer => quote! { i64 },
            Shape::Unsigned => quote! { u64 },
            Shape::Number => quote! { f64 },
            Shape::Boolean => quote! { bool },
            Shape::List(element) => {
                let element = self.of(element, name);
                quote! { Vec<#element> }
            }
            Shape::Object { members, is_open: true } if members.is_empty() => {
                quote! { data::Map<String, data::Value> }
            }
            Shape::Choice(_) | Shape::Object { .. } => {
                let ident = self.named(shape, name);
                quote! { #ident }
            }
        }
    }

    /// Returns a named type, the same for all events that share it.
    fn named(&mut self, shape: &Shape, name: &str) -> Ident {
        let known = self.known.iter().find(|(known, of, _)| known == name && of == shape);
        if let Some((_, _, ident)) = known {
            return ident.clone();
        }
        let ident = self.names.camel(name);
        self.known.push((name.to_owned(), shape.clone(), ident.clone()));
        let made = match shape {
            Shape::Object { members, is_open } => {
                let doc = docs("A part of an event's data.");
                self.structure(&ident, name, &doc, members, *is_open)
            }
            Shape::Choice(texts) => choice(&ident, texts),
            _ => TokenStream::new(),
        };
        self.made.push(made);
        ident
    }
}

/// A member of a struct.
struct Field {
    name: Ident,
    kind: TokenStream,
    declaration: TokenStream,
    is_required: bool,
    is_text: bool,
}

/// Generates a constructor with the required members, in their order.
fn constructor(name: &Ident, fields: &[Field], other: Option<&Ident>) -> TokenStream {
    let required = || fields.iter().filter(|field| field.is_required);
    let parameters = required().map(|Field { name, kind, is_text, .. }| match is_text {
        true => quote! { #name: impl Into<String> },
        false => quote! { #name: #kind },
    });
    let values = fields.iter().map(|Field { name, is_required, is_text, .. }| match (is_required, is_text) {
        (true, true) => quote! { #name: #name.into() },
        (true, false) => quote! { #name },
        (false, _) => quote! { #name: None },
    });
    let other = other.map(|name| quote! { #name: data::Map::new(), });
    quote! {
        impl #name {
            /// Takes the required members; set others as in `Self { …, ..Self::new(…) }`.
            pub fn new(#(#parameters),*) -> Self {
                Self { #(#values,)* #other }
            }
        }
    }
}

fn choice(name: &Ident, texts: &[String]) -> TokenStream {
    let mut names = Names::default();
    let variants = texts.iter().map(|text| {
        let variant = names.camel(text);
        let doc = docs(&format!("`{text}`"));
        quote! { #doc #[serde(rename = #text)] #variant, }
    });
    quote! {
        /// One of the allowed values.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
        #[serde(crate = "::tidings_producer::data::serde")]
        pub enum #name { #(#variants)* }
    }
}

/// Returns documentation, one attribute per line, as `///` would make it.
pub(crate) fn docs(text: &str) -> TokenStream {
    let lines = text.trim().lines().filter(|_| !text.trim().is_empty()).map(|line| format!(" {line}"));
    lines.map(|line| quote! { #[doc = #line] }).collect()
}

/// Returns the name of an event's method.
pub(crate) fn prefixed(prefix: &str, name: &Ident) -> Ident {
    let bare = name.to_string();
    format_ident!("{prefix}_{}", bare.trim_start_matches("r#"))
}
