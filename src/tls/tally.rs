//! How many connections were refused, by reason: for the operator, who must not need a log line for each.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use rustls::AlertDescription;
use rustls::CertificateError;
use rustls::Error;

use crate::tls::refusal::tls_error;

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There were as many connections as there may be.
    Total,
    /// There were as many from its address.
    Address,
    /// There were as many of its member.
    Member,
    /// The handshake took too long.
    Slow,
    /// The client went away.
    Gone,
    /// What it sent is no TLS.
    NotTls,
    /// It speaks no version, group or protocol that the hub does.
    Incompatible,
    /// It showed no certificate.
    NoCertificate,
    /// Its certificate is of no authority of the exchange.
    UnknownAuthority,
    /// Its certificate ended, or is not valid yet.
    Expired,
    /// Its certificate was revoked.
    Revoked,
    /// The revocation list ended: nobody gets in.
    ListEnded,
    /// Its certificate names no member here.
    NoMember,
    /// Its certificate is wrong in another way.
    BadCertificate,
    /// It refused the hub.
    ByClient,
    /// Another fault of TLS.
    Other,
}

impl Refused {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::Total,
        Self::Address,
        Self::Member,
        Self::Slow,
        Self::Gone,
        Self::NotTls,
        Self::Incompatible,
        Self::NoCertificate,
        Self::UnknownAuthority,
        Self::Expired,
        Self::Revoked,
        Self::ListEnded,
        Self::NoMember,
        Self::BadCertificate,
        Self::ByClient,
        Self::Other,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Total => "too-many-connections",
            Self::Address => "too-many-of-address",
            Self::Member => "too-many-of-member",
            Self::Slow => "too-slow",
            Self::Gone => "went-away",
            Self::NotTls => "not-tls",
            Self::Incompatible => "incompatible",
            Self::NoCertificate => "no-certificate",
            Self::UnknownAuthority => "unknown-authority",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::ListEnded => "revocation-list-ended",
            Self::NoMember => "no-member",
            Self::BadCertificate => "bad-certificate",
            Self::ByClient => "refused-by-client",
            Self::Other => "other",
        }
    }

    /// Of a handshake that ended with an error.
    pub(super) fn of(error: &io::Error) -> Self {
        tls_error(error).map_or(Self::Gone, Self::of_tls)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the others have a word in common")]
    fn of_tls(error: &Error) -> Self {
        match error {
            Error::InvalidMessage(_) => Self::NotTls,
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Self::Incompatible,
            Error::InvalidCertificate(error) => Self::of_certificate(error),
            Error::AlertReceived(AlertDescription::CloseNotify) => Self::Gone,
            Error::AlertReceived(_) => Self::ByClient,
            _ => Self::Other,
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the others have a word in common")]
    const fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::UnknownIssuer => Self::UnknownAuthority,
            CertificateError::Revoked => Self::Revoked,
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Self::Expired,
            CertificateError::ExpiredRevocationList
            | CertificateError::ExpiredRevocationListContext { .. } => Self::ListEnded,
            CertificateError::ApplicationVerificationFailure => Self::NoMember,
            _ => Self::BadCertificate,
        }
    }
}

/// The count. Nobody decides anything by it, so that no order between its numbers is needed.
#[derive(Debug, Default)]
pub(super) struct Refusals([AtomicU64; Refused::ALL.len()]);

impl Refusals {
    pub(super) fn take(&self, why: Refused) {
        let counts = Refused::ALL.iter().zip(&self.0);
        for (_reason, count) in counts.filter(|(reason, _count)| **reason == why) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn counted(&self) -> Vec<(Refused, u64)> {
        let counts = Refused::ALL.iter().zip(&self.0);
        counts.map(|(reason, count)| (*reason, count.load(Ordering::Relaxed))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_reason_is_counted_for_itself() {
        let refusals = Refusals::default();
        for (times, reason) in Refused::ALL.iter().enumerate() {
            for _time in 0..times {
                refusals.take(*reason);
            }
        }
        let expected = Refused::ALL.into_iter().zip(0..);
        assert_eq!(refusals.counted(), expected.collect::<Vec<_>>());
        let words: HashSet<_> = Refused::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), Refused::ALL.len());
    }

    #[track_caller]
    fn check(error: Error, expected: Refused) {
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        assert_eq!(Refused::of(&error), expected, "{error}");
    }

    #[test]
    fn what_tls_says_comes_to_a_reason() {
        check(Error::NoCertificatesPresented, Refused::NoCertificate);
        check(Error::NoApplicationProtocol, Refused::Incompatible);
        check(CertificateError::Revoked.into(), Refused::Revoked);
        check(CertificateError::UnknownIssuer.into(), Refused::UnknownAuthority);
        check(CertificateError::ApplicationVerificationFailure.into(), Refused::NoMember);
        check(CertificateError::ExpiredRevocationList.into(), Refused::ListEnded);
        check(CertificateError::BadSignature.into(), Refused::BadCertificate);
        check(Error::AlertReceived(AlertDescription::BadCertificate), Refused::ByClient);
        check(Error::DecryptError, Refused::Other);
        let gone = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert_eq!(Refused::of(&gone), Refused::Gone);
    }
}
