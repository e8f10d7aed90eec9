//! The Rust types of data, and those that have to be made for them.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use tidings_catalog::{Member, Shape};

use crate::names::Names;

/// The types of a module, as they come up.
#[derive(Debug, Default)]
pub(crate) struct Types {
    names: Names,
    /// The choices that there are, by what they were to be called, and what they are called.
    choices: Vec<(String, Vec<String>, Ident)>,
    made: Vec<TokenStream>,
}

impl Types {
    /// With names that the module has for other things.
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

    /// A struct for the data of an event, and its name. Types of members are called after `message`, since
    /// several events may share them.
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
        let other = is_open.then(|| {
            let name = names.snake("other");
            quote! {
                /// Whatever else is to be said.
                #[serde(flatten)]
                pub #name: data::Map<String, data::Value>,
            }
        });
        // What is optional may be left to `..Default::default()` where nothing is required.
        let is_optional = members.iter().all(|member| !member.is_required);
        let default = is_optional.then(|| quote! { Default, });
        quote! {
            #doc
            #[derive(Clone, Debug, #default PartialEq, Deserialize, Serialize)]
            #[serde(crate = "::tidings_producer::data::serde")]
            pub struct #name { #(#fields)* #other }
        }
    }

    fn field(&mut self, names: &mut Names, outer: &str, member: &Member) -> TokenStream {
        let name = names.snake(&member.name);
        let doc = docs(&member.documentation);
        let json = &member.name;
        let rename = (name != json.as_str()).then(|| quote! { #[serde(rename = #json)] });
        let is_number = member.shape == Shape::Number;
        let number =
            is_number.then(|| quote! { #[serde(serialize_with = "::tidings_producer::data::number")] });
        let kind = self.of(&member.shape, &format!("{outer}_{json}"));
        if member.is_required {
            return quote! { #doc #rename #number pub #name: #kind, };
        }
        quote! {
            #doc
            #rename
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #number
            pub #name: Option<#kind>,
        }
    }

    /// The type of a value; what has to be made for it is called `name`.
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
            Shape::Choice(texts) => {
                let name = self.choice(name, texts);
                quote! { #name }
            }
            Shape::Object { members, is_open: true } if members.is_empty() => {
                quote! { data::Map<String, data::Value> }
            }
            Shape::Object { members, is_open } => {
                let ident = self.names.camel(name);
                let doc = docs("A part of an event's data.");
                let made = self.structure(&ident, name, &doc, members, *is_open);
                self.made.push(made);
                quote! { #ident }
            }
        }
    }

    fn choice(&mut self, name: &str, texts: &[String]) -> Ident {
        let known = self.choices.iter().find(|(known, values, _)| known == name && values == texts);
        if let Some((_, _, ident)) = known {
            return ident.clone();
        }
        let ident = self.names.camel(name);
        let mut names = Names::default();
        let variants = texts.iter().map(|text| {
            let variant = names.camel(text);
            let doc = docs(&format!("`{text}`"));
            quote! { #doc #[serde(rename = #text)] #variant, }
        });
        self.made.push(quote! {
            /// One of the values that there are.
            #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
            #[serde(crate = "::tidings_producer::data::serde")]
            pub enum #ident { #(#variants)* }
        });
        self.choices.push((name.to_owned(), texts.to_vec(), ident.clone()));
        ident
    }
}

/// Documentation, a line each, as `///` would make it.
pub(crate) fn docs(text: &str) -> TokenStream {
    let lines = text.trim().lines().filter(|_| !text.trim().is_empty()).map(|line| format!(" {line}"));
    lines.map(|line| quote! { #[doc = #line] }).collect()
}

/// The name of a method for an event's way in.
pub(crate) fn prefixed(prefix: &str, name: &Ident) -> Ident {
    let bare = name.to_string();
    format_ident!("{prefix}_{}", bare.trim_start_matches("r#"))
}
