//! Checks every call before a service sees it.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::Either;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};
use whence_proto::access::{HEADER, SCHEME};

use super::caller::Caller;
use super::roles;
use super::tokens::{Holder, Tokens};

/// Lets only calls pass whose token's role may make them. Without tokens every call passes.
#[derive(Debug, Clone)]
pub struct Guard(pub Option<Arc<Tokens>>);

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            tokens: self.0.clone(),
            inner,
        }
    }
}

/// A service behind a [`Guard`].
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    tokens: Option<Arc<Tokens>>,
    inner: S,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<Ready<Result<Response<Body>, S::Error>>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let checked = match &self.tokens {
            Some(tokens) => check(tokens, request.uri().path(), request.headers()),
            None => Ok(None),
        };
        match checked {
            Ok(holder) => {
                if let Some(holder) = holder {
                    tracing::debug!(call = request.uri().path(), by = holder.name, "called");
                    let tenant = holder.tenant.clone();
                    request.extensions_mut().insert(Caller { tenant });
                }
                Either::Right(self.inner.call(request))
            }
            Err(refused) => Either::Left(ready(Ok(refused.into_http()))),
        }
    }
}

/// Returns who makes a call; none if anybody may. Fails if the caller may not.
fn check<'t>(
    tokens: &'t Tokens,
    call: &str,
    headers: &HeaderMap,
) -> Result<Option<&'t Holder>, Status> {
    if roles::is_open(call) {
        return Ok(None);
    }
    let token = headers.get(HEADER).and_then(|value| value.to_str().ok());
    let Some(token) = token.and_then(|value| value.strip_prefix(SCHEME)) else {
        let message = "the coordinator asks for a token; give --token-file or WHENCE_TOKEN";
        return Err(Status::new(Code::Unauthenticated, message));
    };
    let Some(holder) = tokens.holder(token) else {
        tracing::warn!(call, "a call with an unknown token");
        let message = "the coordinator does not know this token; ask its operator for another";
        return Err(Status::new(Code::Unauthenticated, message));
    };
    if roles::may(holder.role, call) {
        return Ok(Some(holder));
    }
    tracing::warn!(call, by = holder.name, role = %holder.role, "a call that the role may not make");
    let role = holder.role;
    let message = format!("a token with the role `{role}` may not do this");
    Err(Status::new(Code::PermissionDenied, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;
    use crate::access::tokens::line;

    #[test]
    fn a_call_passes_only_with_a_token_whose_role_may_make_it() {
        let tokens = Tokens::parse(&line("ada", Role::Viewer, None, "secret")).unwrap();
        let code = |call: &str, header: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = header {
                headers.insert(HEADER, value.parse().unwrap());
            }
            let checked = check(&tokens, call, &headers);
            checked.err().map(|status| {
                assert!(!status.message().contains("secret"));
                status.code()
            })
        };
        let (list, cancel) = (
            "/attribution.v1.JobService/ListJobs",
            "/attribution.v1.JobService/CancelJob",
        );
        assert_eq!(code(list, Some("Bearer secret")), None);
        assert_eq!(
            code(cancel, Some("Bearer secret")),
            Some(Code::PermissionDenied)
        );
        for header in [
            None,
            Some("secret"),
            Some("Bearer other"),
            Some("Bearer "),
            Some("bearer secret"),
        ] {
            assert_eq!(
                code(list, header),
                Some(Code::Unauthenticated),
                "{header:?}"
            );
        }
        assert_eq!(code("/grpc.health.v1.Health/Check", None), None);
        assert_eq!(code("/other/Call", None), Some(Code::Unauthenticated));
    }
}
