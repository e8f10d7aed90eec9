//! The code in the document for producers is the example that compiles.

#[test]
fn the_document_shows_the_example() {
    let readme = include_str!("../../producer/README.md");
    let example =
        [include_str!("../../producer/example/build.rs"), include_str!("../../producer/example/src/main.rs")];
    for text in example {
        let (_, code) = text.split_once("\n\n").unwrap();
        assert!(
            readme.contains(&format!("```rust\n{code}```")),
            "shared/producer/README.md does not show:\n{code}"
        );
    }
}
