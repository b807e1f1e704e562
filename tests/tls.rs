//! TLS and SASL to a broker: readings arrive, and whoever is not trusted is refused and named.
//!
//! Only in a build with the feature `tls`, which compiles OpenSSL and librdkafka once more and is therefore no part of
//! `scripts/test`: run that first, for Kafka's jars, then `cargo test --release --features tls --test stories tls::`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::fleet::{Fleet, Street};
use crate::harness::kafka::{Kafka, free_port, run};
use crate::harness::ledger;
use crate::harness::not_run::{NotRun, require};
use crate::harness::programs::program;
use crate::harness::weir::{Weir, settings};

const PATIENCE: Duration = Duration::from_secs(90);
const EVERY: &str = "every = \"1s\"\nadapter_allowance = \"1s\"";
const USER: &str = "gw-story";
const PASSWORD: &str = "correct-horse";

/// Authorities and certificates, of OpenSSL's own making.
struct Certificates {
    openssl: PathBuf,
    folder: TempDir,
}

impl Certificates {
    /// An authority `trusted`, another one `stranger`, and the broker's certificate from `trusted`.
    fn make(name_of_broker: &str) -> Result<Self, NotRun> {
        let openssl = program("openssl", "openssl")?;
        let folder = tempfile::Builder::new().prefix("weir-tls-").tempdir().unwrap();
        let config = format!(
            "[req]\ndistinguished_name = name\n[name]\n[ca]\nbasicConstraints = critical,CA:TRUE\n\
             [broker]\nbasicConstraints = CA:FALSE\nsubjectAltName = {name_of_broker}\n"
        );
        fs::write(folder.path().join("openssl.cnf"), config).unwrap();
        let made = Self { openssl, folder };
        made.certify("trusted", "ca", None);
        made.certify("stranger", "ca", None);
        made.certify("broker", "broker", Some("trusted"));
        // Kafka wants key and certificate in one file.
        let both = ["broker.key", "broker.pem"].map(|file| fs::read_to_string(made.file(file)).unwrap());
        fs::write(made.file("broker.both"), both.concat()).unwrap();
        Ok(made)
    }

    fn certify(&self, name: &str, extensions: &str, by: Option<&str>) {
        let mut command = Command::new(&self.openssl);
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        command.args(["-days", "2", "-subj", &format!("/CN={name}"), "-extensions", extensions]);
        command.arg("-config").arg(self.file("openssl.cnf"));
        command.arg("-keyout").arg(self.file(&format!("{name}.key")));
        command.arg("-out").arg(self.file(&format!("{name}.pem")));
        if let Some(by) = by {
            command.arg("-CA").arg(self.file(&format!("{by}.pem")));
            command.arg("-CAkey").arg(self.file(&format!("{by}.key")));
        }
        run("openssl", &mut command);
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A broker with a listener for TLS and one for TLS with SCRAM, besides the harness's own without either.
struct TlsKafka {
    kafka: Kafka,
    tls: String,
    scram: String,
}

impl TlsKafka {
    fn start(certificates: &Certificates) -> Result<Self, NotRun> {
        let [tls, scram] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
        let listeners = format!("PLAINTEXT://127.0.0.1:@BROKER_PORT@,SSL://{tls},SASL_SSL://{scram}");
        let with_controller = format!("{listeners},CONTROLLER://127.0.0.1:@CONTROLLER_PORT@");
        let keystore = certificates.file("broker.both");
        let kafka = Kafka::start_with(&[
            ("listeners", &with_controller),
            ("advertised.listeners", &with_controller),
            (
                "listener.security.protocol.map",
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL",
            ),
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.location", keystore.to_str().unwrap()),
            ("sasl.enabled.mechanisms", "SCRAM-SHA-512"),
            (
                "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config",
                "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            ),
        ])?;
        let mut add_user = kafka.tools().command("kafka.admin.ConfigCommand");
        add_user.args(["--bootstrap-server", &kafka.bootstrap(), "--alter", "--entity-type", "users"]);
        add_user.args(["--entity-name", USER, "--add-config"]);
        add_user.arg(format!("SCRAM-SHA-512=[password={PASSWORD}]"));
        run("kafka-configs", &mut add_user);
        for (topic, partitions) in [("weir.readings", 2), ("weir.events", 1)] {
            kafka.create_topic(topic, partitions, &[]);
        }
        Ok(Self { kafka, tls, scram })
    }
}

fn tls_properties(authority: &Path) -> String {
    format!("\"security.protocol\" = \"SSL\"\n\"ssl.ca.location\" = {authority:?}\n")
}

fn scram_properties(authority: &Path, password: &str) -> String {
    format!(
        "\"security.protocol\" = \"SASL_SSL\"\n\"ssl.ca.location\" = {authority:?}\n\
         \"sasl.mechanism\" = \"SCRAM-SHA-512\"\n\"sasl.username\" = \"{USER}\"\n\"sasl.password\" = \"{password}\"\n"
    )
}

fn configure(weir: &Weir, fleet: &Fleet, bootstrap: &str, properties: &str) {
    // The properties are the last table of the settings.
    let settings = settings(weir.folder(), bootstrap, "");
    weir.write_config(&format!("{settings}\n{properties}\n{}", fleet.config()));
}

/// Starts it with a setting that the broker or the daemon does not trust, and gives the reason that it tells.
#[track_caller]
fn why_it_waits(weir: &mut Weir, reason: &str) -> String {
    weir.start();
    weir.wait_ready(PATIENCE);
    weir.wait_more_readings(3, PATIENCE);
    let stats = weir.wait_stats(reason, PATIENCE, |stats| {
        stats["readings_uplink"]["why"].as_str().is_some_and(|why| why.contains(reason))
    });
    let line = weir.process().wait_for_line(reason, PATIENCE);
    assert!(line.contains("WARN"), "{line}");
    assert_eq!(stats["readings_uplink"]["acknowledged"], 0, "{stats:#}");
    weir.stop(PATIENCE);
    assert!(!weir.process().stderr().contains(PASSWORD), "a password is in the log");
    stats["readings_uplink"]["why"].as_str().unwrap().to_owned()
}

#[test]
fn readings_wait_for_a_broker_that_proves_who_it_is_and_then_all_arrive_over_tls() {
    let part = "TLS to Apache Kafka";
    let Some(certificates) = require(part, Certificates::make("IP:127.0.0.1")) else { return };
    let Some(broker) = require(part, TlsKafka::start(&certificates)) else { return };
    let fleet = Fleet::start(31, [Street::mbus("m", 2).key(EVERY), Street::cjt188("c", 2).key(EVERY)]);
    let mut weir = Weir::for_fleet(&fleet, &broker.tls, "");

    let stranger = tls_properties(&certificates.file("stranger.pem"));
    configure(&weir, &fleet, &broker.tls, &stranger);
    let why = why_it_waits(&mut weir, "the TLS handshake with the broker failed");
    assert!(why.contains("certificate verify failed") && why.contains("ssl.ca.location"), "{why}");

    configure(&weir, &fleet, &broker.tls, &tls_properties(&certificates.file("trusted.pem")));
    weir.start();
    weir.wait_ready(PATIENCE);
    weir.wait_more_readings(10, PATIENCE);
    let told = weir.drain_to_the_last(&fleet, PATIENCE);
    let readings = ledger::readings(&broker.kafka.read_all("weir.readings"), &fleet);
    let events = ledger::events(&broker.kafka.read_all("weir.events"));
    ledger::assert_all_there(&told, &readings, &events);
}

#[test]
fn a_certificate_of_another_host_is_refused() {
    let part = "TLS to Apache Kafka";
    let Some(certificates) = require(part, Certificates::make("DNS:elsewhere.example")) else { return };
    let Some(broker) = require(part, TlsKafka::start(&certificates)) else { return };
    let fleet = Fleet::start(32, [Street::mbus("m", 2).key(EVERY)]);
    let mut weir = Weir::for_fleet(&fleet, &broker.tls, "");
    configure(&weir, &fleet, &broker.tls, &tls_properties(&certificates.file("trusted.pem")));
    why_it_waits(&mut weir, "the TLS handshake with the broker failed");
}

#[test]
fn a_wrong_password_is_named_and_with_the_right_one_all_that_waited_arrives() {
    let part = "SASL to Apache Kafka";
    let Some(certificates) = require(part, Certificates::make("IP:127.0.0.1")) else { return };
    let Some(broker) = require(part, TlsKafka::start(&certificates)) else { return };
    let fleet = Fleet::start(33, [Street::mbus("m", 2).key(EVERY)]);
    let mut weir = Weir::for_fleet(&fleet, &broker.scram, "");
    let trusted = certificates.file("trusted.pem");

    configure(&weir, &fleet, &broker.scram, &scram_properties(&trusted, "wrong-horse"));
    why_it_waits(&mut weir, "the broker did not accept this gateway's credentials");

    configure(&weir, &fleet, &broker.scram, &scram_properties(&trusted, PASSWORD));
    weir.start();
    weir.wait_ready(PATIENCE);
    weir.wait_more_readings(10, PATIENCE);
    let told = weir.drain_to_the_last(&fleet, PATIENCE);
    assert!(!weir.process().stderr().contains(PASSWORD), "a password is in the log");
    let readings = ledger::readings(&broker.kafka.read_all("weir.readings"), &fleet);
    let events = ledger::events(&broker.kafka.read_all("weir.events"));
    ledger::assert_all_there(&told, &readings, &events);
}
