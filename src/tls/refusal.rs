//! Words for a connection that TLS refused, from whatever error a call or a dial ended with.

use std::error::Error;
use std::io;

use rustls::AlertDescription;

/// What TLS said and what may be the cause, if TLS is why a call failed. Takes a `tonic::Status` or an I/O error.
pub fn explain(error: &(dyn Error + 'static)) -> Option<String> {
    let tls = tls_error(error)?;
    Some(format!("{tls}{}", hint(tls)))
}

/// The error of TLS among the causes of another.
pub(super) fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    causes(error).find_map(|cause| {
        // An I/O error hides what it carries: its source is the carried one's source.
        let carried = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let carried = carried.and_then(|carried| carried.downcast_ref::<rustls::Error>());
        carried.or_else(|| cause.downcast_ref::<rustls::Error>())
    })
}

/// The innermost cause, which says most.
pub(super) fn last_cause(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> + 'a {
    std::iter::successors(Some(error), |&error| error.source())
}

#[expect(clippy::wildcard_enum_match_arm, reason = "TLS says enough about the others")]
pub(super) fn hint(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::AlertReceived(alert) => alert_hint(*alert),
        rustls::Error::InvalidCertificate(_) => " (the hub is not the one that this profile knows)",
        rustls::Error::InvalidMessage(_) => " (what answers there does not speak TLS)",
        _ => "",
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "TLS says enough about the others")]
fn alert_hint(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::CertificateRevoked => " (the operator revoked this certificate)",
        AlertDescription::CertificateExpired => {
            " (this certificate expired, or is not valid yet: watchfire renew, and look at the clock)"
        }
        AlertDescription::UnknownCA => {
            " (the certificate is of another exchange, or the hub's revocation list is out of date)"
        }
        AlertDescription::AccessDenied => " (the certificate names no member of this exchange)",
        AlertDescription::UnsupportedCertificate => " (the certificate is not one for clients)",
        _ => "",
    }
}
