//! Who may see a page.
//!
//! A browser sends requests for whichever page it shows, so it is not enough to know who its user is.
//! Connections from other machines are not encrypted and are refused unless asked for. A page of another
//! site may neither change anything nor read anything: not by a form, not by a script, and not by a name
//! of its own that leads to this machine.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, Method};
use whence_proto::access::SCHEME;

use super::sessions::{SessionKey, Sessions};
use crate::access::tokens::{Holder, Tokens};
use crate::access::{Admission, Caller, Role, Visitors, may};
use crate::job::Timestamp;

/// Name of the cookie with the number of a session.
pub(super) const SESSION_COOKIE: &str = "whence_session";
/// The call that says who may see jobs.
const SEE_JOBS: &str = "/attribution.v1.JobService/ListJobs";

/// Whom a page is made for.
#[derive(Debug, Clone, Default)]
pub(super) struct Visitor {
    /// Whose jobs are seen.
    pub(super) caller: Caller,
    /// How the visitor is known; none if nobody has to be.
    pub(super) login: Option<Login>,
}

/// How a visitor is known.
#[derive(Debug, Clone)]
pub(super) struct Login {
    /// Whose token it is.
    pub(super) holder: Holder,
    /// The session; none for a program that sends its token with each request.
    pub(super) session: Option<SessionKey>,
    /// What the forms of the session carry.
    pub(super) form_secret: String,
}

impl Visitor {
    /// Returns whether the visitor may make a call that changes something. Somebody who is not known may
    /// not: any program of this machine could open a page.
    pub(super) fn may_act(&self, call: &str) -> bool {
        let login = self.login.as_ref().filter(|login| login.session.is_some());
        login.is_some_and(|login| may(login.holder.role, call))
    }
}

/// Why a page is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The browser is on another machine, and the connection is not encrypted.
    Elsewhere,
    /// The page was asked for by a name that may be anybody's.
    Host(String),
    /// Another site asked for it.
    OtherSite,
    /// The coordinator asks for certificates, which the dashboard cannot.
    Certificates,
    /// Nobody is logged in.
    LogIn,
    /// The token is not one that may see jobs.
    Role(Role),
}

/// Fails if a request comes from where pages are not served to, or was made by a page of another site.
pub(super) fn check_place(
    visitors: &Visitors,
    peer: IpAddr,
    (method, headers): (&Method, &HeaderMap),
) -> Result<(), Refusal> {
    if !visitors.are_anywhere && !peer.to_canonical().is_loopback() {
        return Err(Refusal::Elsewhere);
    }
    match visitors.admission {
        Admission::Nobody => return Err(Refusal::Certificates),
        // Another site can point its own name at this machine. Browsers then take its pages and these for
        // the same origin, and without a login there is no cookie that its pages would lack.
        Admission::Everybody => check_host(text(headers, HOST.as_str()).unwrap_or_default())?,
        Admission::Holders(_) => {}
    }
    let is_own = match text(headers, "sec-fetch-site") {
        Some("same-origin" | "none") => true,
        // A link of another site may lead here.
        Some(_) => *method == Method::GET && text(headers, "sec-fetch-mode") == Some("navigate"),
        None => *method == Method::GET || has_own_origin(headers),
    };
    is_own.then_some(()).ok_or(Refusal::OtherSite)
}

/// Fails unless `host` is an address or this machine's name for itself.
fn check_host(host: &str) -> Result<(), Refusal> {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_address = name.parse::<IpAddr>().is_ok() || name.parse::<Ipv6Addr>().is_ok();
    let is_local = name == "localhost" || name.ends_with(".localhost");
    if is_address || is_local {
        return Ok(());
    }
    Err(Refusal::Host(host.to_owned()))
}

/// Returns whether a form comes from the host that it is sent to. Programs other than browsers do not say
/// where it comes from.
fn has_own_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = text(headers, ORIGIN.as_str()) else {
        return true;
    };
    let origin = origin.split_once("://").map(|(_, host)| host);
    origin.is_some() && origin == text(headers, HOST.as_str())
}

/// Returns who sends a request.
pub(super) fn identify(
    visitors: &Visitors,
    sessions: &Sessions,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Visitor, Refusal> {
    let tokens = match &visitors.admission {
        Admission::Everybody => return Ok(Visitor::default()),
        Admission::Nobody => return Err(Refusal::Certificates),
        Admission::Holders(tokens) => tokens,
    };
    let session = cookie(headers).and_then(|number| sessions.find(number, now));
    let login = match session {
        Some((key, session)) => Login {
            holder: session.holder.clone(),
            session: Some(key),
            form_secret: session.form_secret.clone(),
        },
        None => Login {
            holder: bearer(headers, tokens).ok_or(Refusal::LogIn)?.clone(),
            session: None,
            form_secret: String::new(),
        },
    };
    check_role(login.holder.role)?;
    Ok(Visitor {
        caller: Caller {
            tenant: login.holder.tenant.clone(),
        },
        login: Some(login),
    })
}

/// Fails unless the holders of a role may see jobs.
pub(super) fn check_role(role: Role) -> Result<(), Refusal> {
    may(role, SEE_JOBS).then_some(()).ok_or(Refusal::Role(role))
}

fn bearer<'t>(headers: &HeaderMap, tokens: &'t Tokens) -> Option<&'t Holder> {
    let token = text(headers, AUTHORIZATION.as_str())?.strip_prefix(SCHEME)?;
    tokens.holder(token)
}

/// Returns the number of the session that a cookie names.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).into_iter();
    let cookies = cookies.filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == SESSION_COOKIE).then_some(value)
    })
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::access::tokens::line;
    use crate::testing::at;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name: axum::http::HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    fn visitors(admission: Admission) -> Visitors {
        Visitors {
            admission,
            are_anywhere: false,
        }
    }

    fn tokens() -> Arc<Tokens> {
        let lines = [
            line("ada", Role::Viewer, Some(&"nlp".parse().unwrap()), "see"),
            line("w", Role::Worker, None, "work"),
        ];
        Arc::new(Tokens::parse(&lines.join("\n")).unwrap())
    }

    fn place(
        visitors: &Visitors,
        peer: &str,
        method: &Method,
        pairs: &[(&str, &str)],
    ) -> Result<(), Refusal> {
        let headers = headers(pairs);
        check_place(visitors, peer.parse().unwrap(), (method, &headers))
    }

    #[test]
    fn browsers_of_other_machines_are_answered_only_if_asked_for() {
        let mut visitors = visitors(Admission::Holders(tokens()));
        let from =
            |visitors: &Visitors, peer| place(visitors, peer, &Method::GET, &[("host", "h")]);
        for here in ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(from(&visitors, here), Ok(()), "{here}");
        }
        for there in ["10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", "0.0.0.0"] {
            assert_eq!(from(&visitors, there), Err(Refusal::Elsewhere), "{there}");
        }
        visitors.are_anywhere = true;
        assert_eq!(from(&visitors, "10.0.0.1"), Ok(()));
    }

    #[test]
    fn a_name_that_may_be_anybodys_is_refused_where_nobody_logs_in() {
        let open = visitors(Admission::Everybody);
        let asked = |visitors: &Visitors, host| {
            place(visitors, "127.0.0.1", &Method::GET, &[("host", host)])
        };
        for host in [
            "127.0.0.1:7701",
            "127.0.0.1",
            "[::1]:7701",
            "localhost:7701",
            "whence.localhost",
        ] {
            assert_eq!(asked(&open, host), Ok(()), "{host}");
        }
        for host in [
            "evil.example:7701",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example#localhost",
            "[evil]",
            "",
        ] {
            let refused = asked(&open, host);
            assert_eq!(refused, Err(Refusal::Host(host.to_owned())));
        }
        // Where somebody logs in, a foreign name has no cookie.
        assert_eq!(
            asked(&visitors(Admission::Holders(tokens())), "c.example"),
            Ok(())
        );
        let closed = asked(&visitors(Admission::Nobody), "localhost");
        assert_eq!(closed, Err(Refusal::Certificates));
    }

    #[test]
    fn another_site_may_link_to_a_page_and_do_nothing_else() {
        let visitors = visitors(Admission::Everybody);
        let asked = |method: &Method, pairs: &[(&str, &str)]| {
            let pairs = [&[("host", "localhost:7701")], pairs].concat();
            place(&visitors, "127.0.0.1", method, &pairs).is_ok()
        };
        let site = |site| ("sec-fetch-site", site);
        let (navigate, cors) = (("sec-fetch-mode", "navigate"), ("sec-fetch-mode", "cors"));
        for own in ["same-origin", "none"] {
            assert!(asked(&Method::GET, &[site(own), cors]));
            assert!(asked(&Method::POST, &[site(own), navigate]));
        }
        // Another port of this machine is the same site, and another program.
        for other in ["cross-site", "same-site"] {
            assert!(asked(&Method::GET, &[site(other), navigate]));
            assert!(!asked(&Method::GET, &[site(other), cors]));
            assert!(!asked(&Method::POST, &[site(other), navigate]));
        }
        // A browser that does not say what asks says at least where a form comes from.
        assert!(asked(&Method::GET, &[]));
        assert!(asked(&Method::POST, &[]));
        assert!(asked(&Method::POST, &[("origin", "http://localhost:7701")]));
        for origin in ["http://evil.example", "http://localhost:7702", "null"] {
            assert!(!asked(&Method::POST, &[("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn only_who_may_see_jobs_gets_in_and_sees_those_of_the_team() {
        let visitors = visitors(Admission::Holders(tokens()));
        let mut sessions = Sessions::default();
        let holder = tokens().holder("see").unwrap().clone();
        let number = sessions.begin(holder, [[1; 32], [2; 32]], at(0));
        let who = |pairs: &[(&str, &str)]| identify(&visitors, &sessions, &headers(pairs), at(1));
        let cookie = format!("a=b; {SESSION_COOKIE}={number}");
        let ada = who(&[("cookie", &cookie)]).unwrap();
        assert_eq!(ada.caller.tenant, Some("nlp".parse().unwrap()));
        assert_eq!(ada.login.unwrap().form_secret, "02".repeat(32));
        assert!(who(&[("authorization", "Bearer see")]).is_ok());
        let refused = |pairs: &[(&str, &str)]| who(pairs).unwrap_err();
        assert_eq!(
            refused(&[("authorization", "Bearer work")]),
            Refusal::Role(Role::Worker)
        );
        let stranger = format!("{SESSION_COOKIE}={}", "0".repeat(64));
        for pairs in [
            &[][..],
            &[("cookie", stranger.as_str())],
            &[("cookie", "whence_session=see")],
            &[("authorization", "Bearer other")],
            &[("authorization", "see")],
        ] {
            assert_eq!(refused(pairs), Refusal::LogIn, "{pairs:?}");
        }
    }

    #[test]
    fn only_a_session_with_the_role_may_change_something() {
        let cancel = "/attribution.v1.JobService/CancelJob";
        let visitor = |role, session| Visitor {
            caller: Caller::default(),
            login: Some(Login {
                holder: Holder {
                    name: "ada".to_owned(),
                    role,
                    tenant: None,
                },
                session,
                form_secret: String::new(),
            }),
        };
        let session = Some(blake3::hash(b"a"));
        assert!(visitor(Role::Submitter, session).may_act(cancel));
        assert!(visitor(Role::Admin, session).may_act(cancel));
        assert!(!visitor(Role::Viewer, session).may_act(cancel));
        // Without a session there is no secret that tells our forms from forged ones.
        assert!(!visitor(Role::Admin, None).may_act(cancel));
        assert!(!Visitor::default().may_act(cancel));
    }
}
