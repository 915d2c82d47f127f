//! One function for each parser of foreign bytes. It panics if the parser does not keep its word: whatever comes is
//! refused or understood, and what was understood is written as it was read.
//!
//! `tests/fuzz/main.rs` runs them with every change, `tests/fuzz/guided` with coverage as its guide.

mod disk;
mod files;
mod peers;
pub(crate) mod plain;
mod proofs;
mod values;
mod wire;
pub(crate) mod world;

/// A parser, or several that are given the same bytes.
#[derive(Debug)]
pub(crate) struct Target {
    /// What it is called, here and in the kept corpus.
    pub(crate) name: &'static str,
    /// Reads the bytes, and demands what must hold.
    pub(crate) run: fn(&[u8]),
    /// Bytes of an input at most. Parsers that take more read the rest as they read this much.
    pub(crate) bytes_max: usize,
    /// Bytes that mean something here, to be put into others.
    pub(crate) tokens: &'static [&'static str],
}

const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\":",
    ",",
    "null",
    "true",
    "1e999",
    "-0",
    "\\u0000",
    "\\ud800",
    "[[[[[[[[",
    "{\"a\":",
    "18446744073709551615",
    "\"\"",
];

/// Every target.
pub(crate) const ALL: &[Target] = &[
    Target {
        name: "envelope",
        run: wire::envelope,
        bytes_max: 8192,
        tokens: &["\u{1a}\0", "\"\0", "members/"],
    },
    Target {
        name: "header",
        run: wire::header,
        bytes_max: 4096,
        tokens: &["members/", "audiences/all", "exchanges/"],
    },
    Target {
        name: "body",
        run: wire::body,
        bytes_max: 4096,
        tokens: &["members/", "/records/", "\u{8}\u{1}"],
    },
    Target {
        name: "roster",
        run: wire::roster,
        bytes_max: 4096,
        tokens: &["members/", "audiences/"],
    },
    Target {
        name: "query",
        run: wire::query,
        bytes_max: 2048,
        tokens: &["match[", "%5B", "added_after=", "&limit=", ","],
    },
    Target {
        name: "normal-form",
        run: values::normal_form,
        bytes_max: 3072,
        tokens: &[
            "https://",
            "hxxp",
            "[.]",
            "www.",
            "xn--",
            "%41",
            "%2f",
            "?id=",
            "#!",
            "@",
            "//",
            "/../",
            "\u{200b}",
            "\u{3002}",
            "::",
            "[::1]",
            "twitter.com/",
            "facebook.com/profile.php?id=",
            "youtube.com/channel/",
            ":443",
            "\u{130}",
            "\u{df}",
            "\u{1f1e6}",
            "+",
            "utm_source=",
        ],
    },
    Target {
        name: "text",
        run: values::text,
        bytes_max: 3072,
        tokens: &[
            "[.]",
            "(dot)",
            "hxxps[://]",
            "http",
            "@",
            "[@]",
            "\u{202e}",
            "\u{301}",
            "\u{200b}",
            ". ",
            "U.S.",
            "<b>",
            "](",
            "\n# ",
            "|",
            "members/",
            "/records/",
            "audiences/",
            "2018-08-22T00:00:00Z",
            "\"",
            "-",
            "日本",
        ],
    },
    Target {
        name: "csv",
        run: files::csv,
        bytes_max: 8192,
        tokens: &[
            ",",
            "\"",
            "\"\"",
            "\r\n",
            "[.]",
            "about 1.5 million",
            "hxxps://",
            ",,,",
            "(redirects to ",
            "more than 10",
            "Facebook",
            "; ",
            "ASN",
        ],
    },
    Target { name: "bundle", run: files::bundle, bytes_max: 16384, tokens: JSON },
    Target {
        name: "pattern",
        run: files::pattern,
        bytes_max: 2048,
        tokens: &[
            "[",
            "]",
            " OR ",
            " AND ",
            "=",
            "'",
            "\\'",
            "\\\\",
            "(",
            ")",
            "domain-name:value",
            "url:value",
            "file:hashes.'SHA-256'",
        ],
    },
    Target { name: "lists", run: files::lists, bytes_max: 8192, tokens: JSON },
    Target { name: "json", run: files::json, bytes_max: 16384, tokens: JSON },
    Target {
        name: "config",
        run: files::config,
        bytes_max: 2048,
        tokens: &[
            "[tls]\n",
            "[[frameworks]]\n",
            "listen = ",
            "\"",
            "'''",
            "= [",
            "{ ",
            "\n[log]\n",
            "info,h2=",
            "1_000",
        ],
    },
    Target {
        name: "checkpoint",
        run: proofs::checkpoint,
        bytes_max: 2048,
        tokens: &[
            "\n\n",
            "\u{2014} ",
            "epoch ",
            "roster ",
            "\n",
            "==",
            "18446744073709551615",
            "\r\n",
        ],
    },
    Target { name: "proof", run: proofs::proof, bytes_max: 1024, tokens: &[] },
    Target {
        name: "certificate",
        run: peers::certificate,
        bytes_max: 4096,
        tokens: &[
            "-----BEGIN CERTIFICATE-----\n",
            "-----END X509 CRL-----\n",
            "spiffe://",
            "/members/",
            "/agents/",
            "\u{30}\u{80}",
        ],
    },
    Target { name: "token", run: peers::token, bytes_max: 512, tokens: &["@", "00ff"] },
    Target { name: "store", run: disk::store, bytes_max: 6144, tokens: &[] },
    Target {
        name: "backup",
        run: disk::backup,
        bytes_max: 8192,
        tokens: &["watchfire-backup 1\n"],
    },
];

/// The target of a name.
pub(crate) fn named(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|target| target.name == name)
}

/// Bytes as text, if they are.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
