//! What is written down is what the code does: pages of `docs/reference` and `cloud-api/openapi.json`, made from the tables.
//!
//! `CARDEA_WRITE_REFERENCE=1 cargo test -p cardea-cloud --lib api::reference` writes them anew.

use std::fmt::Write as _;
use std::path::Path;

use crate::api::endpoints;
use crate::api::reference::{data_inventory, openapi, problems};
use crate::auth::Access;
use crate::auth::roles::{Belongs, Role};

/// Compares a file of the repository with what it has to hold, or writes it.
fn is_as_made(file: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(file);
    if std::env::var_os("CARDEA_WRITE_REFERENCE").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = written.lines().zip(made.lines()).position(|(written, made)| written != made);
    assert!(
        written == made,
        "{file} differs from the code, first at line {}: write it anew with \
         CARDEA_WRITE_REFERENCE=1 cargo test -p cardea-cloud --lib api::reference",
        differs.unwrap_or_else(|| written.lines().count().min(made.lines().count())) + 1
    );
}

const MADE: &str =
    "<!-- Made from the code by the tests of cardea-cloud, api/reference/pages.rs: change it there. -->\n";

fn roles_page() -> String {
    let mut page = format!(
        "# Roles\n\n{MADE}\nAn account has one role, looked up at each call. What a role does not include is refused \
         (`role-forbidden`); what lies at\nanother customer's site, or at a site an installer was not given, does not exist \
         for it (`not-found`). A call without a valid token\nis refused before any of this.\n\n\
         | role | whose account | what for |\n|---|---|---|\n"
    );
    for role in Role::ALL {
        let whose = match role.belongs() {
            Belongs::Customer => "a customer's",
            Belongs::Operator => "the operator's own",
            Belongs::Either => "either's",
        };
        let _ = writeln!(page, "| `{}` | {whose} | {} |", role.name(), role.purpose());
    }
    page.push_str(
        "\nAn administrator registers accounts of every role. An operator registers accounts of customers, and installers: \
         nobody but an\nadministrator makes an account that can do more than its maker. `cardea-cloud init-operator --role \
         administrator` makes the first\nadministrator, on the machine itself.\n\n## Who may do what\n\n| operation | |",
    );
    for role in Role::ALL {
        let _ = write!(page, " {} |", role.name());
    }
    page.push_str("\n|---|---|");
    page.push_str(&"---|".repeat(Role::ALL.len()));
    page.push('\n');
    for endpoint in endpoints() {
        let Access::Role(operation) = endpoint.access else { continue };
        let title = operation.title().trim_end_matches('.').to_lowercase();
        let _ = write!(page, "| `{} {}` | {title} |", endpoint.method, endpoint.path);
        for role in Role::ALL {
            page.push_str(if role.may(operation) { " ✓ |" } else { "  |" });
        }
        page.push('\n');
    }
    page.push_str("\nWhoever has a trusted client certificate, with or without an account:\n\n");
    for endpoint in endpoints().into_iter().filter(|endpoint| endpoint.access == Access::Certificate) {
        let _ = writeln!(page, "- `{} {}`", endpoint.method, endpoint.path);
    }
    page.push_str("\n## Names of earlier versions\n\n");
    page.push_str(
        "They are read wherever a role is named: in the database, in tokens that were issued before, and in `POST \
         /v1/principals`.\nNothing is rewritten, and answers carry the name of today. `operator` and `auditor` keep their \
         names.\n\n| earlier | today |\n|---|---|\n",
    );
    for (former, role) in Role::FORMER {
        let _ = writeln!(page, "| `{former}` | `{}` |", role.name());
    }
    page.push_str(
        "\nOne thing ends: an `operator` no longer makes accounts of the operator's own but installers. Make an administrator \
         first.\n",
    );
    page
}

#[test]
fn the_page_of_roles_is_the_table_of_roles() {
    is_as_made("docs/reference/roles.md", &roles_page());
}

#[test]
fn the_page_of_problems_is_the_table_of_problems() {
    let mut page = format!(
        "# Problems\n\n{MADE}\nErrors are problem documents (RFC 9457), `application/problem+json`. Program against `type`, \
         which is `/problems/` and a name below\nand leads to the same text at the cloud itself; `detail` is for people and \
         never repeats a value you sent; `request_id` is what the\ncloud's log has the request under.\n\n"
    );
    page.push_str("| `/problems/…` | status | when |\n|---|---|---|\n");
    for (kind, _) in problems::kinds() {
        let _ = writeln!(page, "| [`{0}`](#{0}) | {1} | {2} |", kind.slug, kind.status.as_u16(), kind.when);
    }
    for (kind, sample) in problems::kinds() {
        let _ = write!(page, "\n{}", problems::section(kind, &sample));
    }
    is_as_made("docs/reference/problems.md", &page);
}

#[test]
fn the_page_of_fields_is_the_data_inventory() {
    let page = format!(
        "# Data inventory\n\n{MADE}\nEvery field that the API exchanges, as `GET /v1/data-inventory` tells it. Others are \
         refused. Who sees a field follows from the\n[table of roles](roles.md): the roles with an operation whose answer \
         holds it, a customer's at its own sites only.\n\n\
         | field | what it means | kept | what for | legal basis | how long | who sees it |\n|---|---|---|---|---|---|---|\n{}",
        data_inventory::table()
    );
    is_as_made("docs/reference/data-inventory.md", &page);
}

#[test]
fn the_openapi_document_is_the_one_served() {
    is_as_made("cloud-api/openapi.json", openapi::text());
}
