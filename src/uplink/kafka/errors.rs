//! What an error of librdkafka means for the record it came with, and in words for a person.
//!
//! Pure. The rule where a code is not named here: it may get through later. Waiting for ever over an error that will
//! not go away is visible and loses nothing; setting records aside over one that would have gone away is neither.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::super::{Failure, FailureKind};

/// The words for errors that only say that no answer came.
const NO_ANSWER: &str = "the broker did not acknowledge in time";

/// The failure behind an error that concerns this topic.
pub(super) fn failure_of(error: &KafkaError, topic: &str) -> Failure {
    match error.rdkafka_error_code() {
        Some(code) => failure(code, format!("topic {topic}: {code}")),
        None => Failure::new(FailureKind::Retriable, "the Kafka client failed", error.to_string()),
    }
}

/// The failure behind an error code.
pub(super) fn failure(code: RDKafkaErrorCode, detail: impl Into<String>) -> Failure {
    let (kind, what) = meaning(code);
    Failure::new(kind, what, detail)
}

/// Whether something else that was heard explains this failure better.
pub(super) fn says_little(failure: &Failure) -> bool {
    failure.kind == FailureKind::Retriable && failure.what == NO_ANSWER
}

fn meaning(code: RDKafkaErrorCode) -> (FailureKind, &'static str) {
    use FailureKind::{Fatal, Refused, Retriable};
    use RDKafkaErrorCode as Code;
    match code {
        // This record, or one in its batch.
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => {
            (Refused, "the record is larger than the broker allows")
        }
        Code::InvalidRecord | Code::BadMessage => (Refused, "the broker holds the record for invalid"),
        Code::InvalidDifferentRecord => (Refused, "another record of the batch is invalid"),
        Code::PolicyViolation => (Refused, "the record violates a policy of the broker"),

        // This producer.
        Code::Fatal
        | Code::Fenced
        | Code::ProducerFenced
        | Code::InvalidProducerEpoch
        | Code::InvalidProducerIdMapping
        | Code::OutOfOrderSequenceNumber
        | Code::UnknownProducerId
        | Code::GaplessGuarantee
        | Code::State
        | Code::BrokerDestroy => (Fatal, "the Kafka client cannot go on and is made anew"),

        // The set-up of topic, rights and gateway: a person must act, and then everything gets through.
        Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::UnknownPartition
        | Code::UnknownTopicId => (Retriable, "the topic does not exist on the broker"),
        Code::InvalidTopic => (Retriable, "the topic's name is not a valid one"),
        Code::TopicAuthorizationFailed => {
            (Retriable, "this gateway has no right to write to the topic; it needs WRITE and DESCRIBE")
        }
        Code::ClusterAuthorizationFailed | Code::TransactionalIdAuthorizationFailed => (
            Retriable,
            "this gateway has no right to write idempotently; it needs IDEMPOTENT_WRITE on the cluster",
        ),
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState => (Retriable, "the broker did not accept this gateway's credentials"),
        Code::SSL => (Retriable, "the TLS handshake with the broker failed"),
        Code::InvalidTimestamp => (Retriable, "the broker holds this gateway's clock for wrong"),
        Code::UnsupportedForMessageFormat => {
            (Retriable, "the topic's message format is too old for record headers")
        }
        Code::UnsupportedCompressionType => (Retriable, "the broker does not support the compression"),
        Code::UnsupportedFeature | Code::UnsupportedVersion => {
            (Retriable, "the broker is too old for an idempotent producer")
        }
        Code::InvalidRequiredAcks => (Retriable, "the broker does not accept acks=all"),

        // The brokers, for now.
        Code::Resolve => (Retriable, "the broker's host name cannot be resolved"),
        Code::AllBrokersDown
        | Code::BrokerTransportFailure
        | Code::NetworkException
        | Code::BrokerNotAvailable => (Retriable, "no broker can be reached"),
        Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::FencedLeaderEpoch
        | Code::UnknownLeaderEpoch => (Retriable, "the topic has no leader for now"),
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend | Code::ISRInsufficient => {
            (Retriable, "the topic has fewer replicas in sync than it demands")
        }
        Code::KafkaStorageError => (Retriable, "the broker's disk failed"),
        Code::ThrottlingQuotaExceeded => (Retriable, "the broker's quota for this gateway is used up"),
        Code::InvalidMessage => (Retriable, "the batch was damaged on its way"),
        Code::QueueFull => (Retriable, "the Kafka client's queue is full"),
        Code::PurgeQueue | Code::PurgeInflight => (Retriable, "given up before it was acknowledged"),
        Code::MessageTimedOut | Code::RequestTimedOut | Code::OperationTimedOut | Code::TimedOutQueue => {
            (Retriable, NO_ANSWER)
        }
        _ => (Retriable, "the broker does not take records for now"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RDKafkaErrorCode as Code;

    fn kinds(codes: &[Code]) -> Vec<FailureKind> {
        codes.iter().map(|&code| meaning(code).0).collect()
    }

    #[test]
    fn what_a_person_or_time_can_mend_is_never_held_against_the_record() {
        let mendable = [
            Code::UnknownTopic,
            Code::UnknownTopicOrPartition,
            Code::TopicAuthorizationFailed,
            Code::ClusterAuthorizationFailed,
            Code::InvalidTimestamp,
            Code::UnsupportedForMessageFormat,
            Code::UnsupportedCompressionType,
            Code::LeaderNotAvailable,
            Code::NotEnoughReplicas,
            Code::AllBrokersDown,
            Code::MessageTimedOut,
            Code::PurgeQueue,
            Code::PurgeInflight,
            Code::QueueFull,
            Code::InvalidMessage,
            Code::KafkaStorageError,
            Code::Unknown,
        ];
        assert_eq!(kinds(&mendable), vec![FailureKind::Retriable; mendable.len()]);
    }

    #[test]
    fn a_record_is_refused_for_its_size_or_its_content() {
        let refused = [Code::MessageSizeTooLarge, Code::InvalidRecord, Code::InvalidDifferentRecord];
        assert_eq!(kinds(&refused), [FailureKind::Refused; 3]);
    }

    #[test]
    fn a_producer_that_lost_its_place_is_made_anew() {
        let lost = [Code::Fatal, Code::OutOfOrderSequenceNumber, Code::InvalidProducerEpoch];
        assert_eq!(kinds(&lost), [FailureKind::Fatal; 3]);
    }
}
