//! Names that users, organisations, shelters, roles and documents may have.

/// Each is a name of its own, however alike some look, and whatever NATS, a URL or a template would read into it.
pub(crate) fn ids() -> Vec<String> {
    let plain = [
        "ada",
        "Ada",
        "john.doe@example.com",
        "john",
        "*",
        ">",
        "ada.*",
        "ada.>",
        "a b",
        " ",
        "a/b",
        "../ada",
        "-",
        "=",
        "=2A",
        "all",
        "user:ada",
        "incidents",
        "first_responder",
        "{sub}",
        "{{",
        "7",
        "7.0",
        "null",
        "é",
        "e\u{301}",
        "漢字 \u{1f6d1}",
        "\u{202e}ada",
        "\u{0}",
        "ada\r\nX-Header: y",
        "\t",
        "$SYS.>",
        "a\"b\\c'",
    ];
    let long = ["x".repeat(300), "*".repeat(300), "é".repeat(150) + "ada", "x".repeat(512), "*".repeat(512)];
    plain.into_iter().map(str::to_owned).chain(long).collect()
}

/// Names of devices: up to 64 bytes without control characters.
pub(crate) const DEVICES: [&str; 8] = ["phone", "*", ">", "a b", "a.b", "a/b", "é", "default"];
