//! One Apache Kafka node on loopback, for real: started, stopped, killed, frozen and started again.
//!
//! Broker and controller are one process (KRaft) from the jars that `tests/kafka/pom.xml` pins. Each node has a
//! fresh folder and ports of its own, and a story that breaks its broker starts one for itself; the others share
//! one, since a start takes seconds. The settings are in `tests/kafka/server.properties`.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::metadata::Metadata;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use rustix::process::Signal;

use super::deadline::wait_for;
use super::not_run::NotRun;
use super::process::{Process, next_number};
use super::programs::{fetched, program, target_tmp};

/// Starting takes about 2 s alone on the machine, 5 s after a SIGKILL.
const START_TIME: Duration = Duration::from_secs(90);
const STOP_TIME: Duration = Duration::from_secs(60);
const ASK_TIME: Duration = Duration::from_secs(10);

/// Any 16 bytes in base64url: each node is a cluster of its own.
const CLUSTER_ID: &str = "d2VpcnMtdGVzdC1rYWZrYQ";

/// A Kafka node and its data, which are removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Kafka {
    process: Option<Process>,
    tools: Tools,
    folder: PathBuf,
    broker_port: u16,
}

impl Kafka {
    /// Formats and starts a fresh node, and waits until it serves.
    ///
    /// # Errors
    /// [`NotRun`] when there is no Java, or nobody has fetched the jars.
    ///
    /// # Panics
    /// When Kafka is there but does not start: that is a failure, with the end of its log.
    pub(crate) fn start() -> Result<Self, NotRun> {
        Self::start_with(&[])
    }

    /// The same with further lines for `server.properties`, such as `("message.max.bytes", "2000")`. The last line of a
    /// name counts; the `@NAMES@` of that file can be used.
    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Result<Self, NotRun> {
        let tools = Tools::find()?;
        let folder = target_tmp().join(format!("kafka-{}-{}", std::process::id(), next_number()));
        fs::create_dir_all(&folder).unwrap();
        let [broker_port, controller_port] = [free_port(), free_port()];
        let mut properties = include_str!("../kafka/server.properties").to_owned();
        for (name, value) in settings {
            properties.push_str(&format!("{name}={value}\n"));
        }
        let properties = properties
            .replace("@BROKER_PORT@", &broker_port.to_string())
            .replace("@CONTROLLER_PORT@", &controller_port.to_string())
            .replace("@DATA_DIR@", folder.join("data").to_str().unwrap());
        fs::write(folder.join("server.properties"), properties).unwrap();

        let mut kafka = Self { process: None, tools, folder, broker_port };
        let mut format = kafka.tools.command("kafka.tools.StorageTool");
        format.args(["format", "--standalone", "-t", CLUSTER_ID, "-c"]).arg(kafka.properties());
        run("kafka-format", &mut format);
        kafka.restart();
        Ok(kafka)
    }

    /// The node that all stories share which leave it alone. Topics keep them apart.
    ///
    /// # Errors
    /// As [`Kafka::start`].
    pub(crate) fn shared() -> Result<&'static Self, NotRun> {
        static SHARED: OnceLock<Result<Kafka, NotRun>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref().map_err(Clone::clone)
    }

    /// `host:port`, the same over restarts.
    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.broker_port)
    }

    /// Starts it again on the same data and ports, ending it first if it runs, and waits until it serves.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        if self.process.as_mut().is_some_and(|process| process.ended().is_none()) {
            self.stop();
        }
        let mut command = self.tools.command("kafka.Kafka");
        command.arg(self.properties());
        let mut process = Process::spawn_with_scratch("kafka", &mut command, Some(&self.folder));
        // Written once the controller has let the broker in; after a SIGKILL only when its old session is over.
        process.wait_for_line("Kafka Server started", START_TIME);
        self.process = Some(process);
        self.wait_for_leaders();
    }

    /// SIGTERM, and waits for the orderly end.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.process().stop(STOP_TIME)
    }

    /// `kill -9`. What it had acknowledged is in the page cache and survives.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        self.process().kill();
    }

    /// Stops it where it is (SIGSTOP): connections stay open and nothing is answered, until [`Kafka::thaw`].
    #[track_caller]
    pub(crate) fn freeze(&mut self) {
        self.process().signal(Signal::STOP);
    }

    /// Lets it run again after [`Kafka::freeze`].
    #[track_caller]
    pub(crate) fn thaw(&mut self) {
        self.process().signal(Signal::CONT);
    }

    /// Creates a topic with settings such as `("message.timestamp.type", "LogAppendTime")`, and waits until every
    /// partition has a leader.
    #[track_caller]
    pub(crate) fn create_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let made = self.administer(async |admin, options| admin.create_topics([&topic], options).await);
        assert!(made.iter().all(Result::is_ok), "topic {name} was not created: {made:?}");
        self.wait_for_leaders();
    }

    /// Deletes it with all that is in it.
    pub(crate) fn delete_topic(&self, name: &str) {
        let gone = self.administer(async |admin, options| admin.delete_topics(&[name], options).await);
        assert!(gone.iter().all(Result::is_ok), "topic {name} was not deleted: {gone:?}");
    }

    /// Adds partitions, until there are so many.
    pub(crate) fn add_partitions(&self, name: &str, count: usize) {
        let more = NewPartitions::new(name, count);
        let made = self.administer(async |admin, options| admin.create_partitions([&more], options).await);
        assert!(made.iter().all(Result::is_ok), "{name} got no partitions: {made:?}");
        self.wait_for_leaders();
    }

    /// Deletes the messages of a partition before this offset.
    pub(crate) fn delete_records(&self, name: &str, partition: i32, before: i64) {
        let mut until = TopicPartitionList::new();
        until.add_partition_offset(name, partition, Offset::Offset(before)).unwrap();
        let gone = self.administer(async |admin, options| admin.delete_records(&until, options).await);
        assert!(gone.elements().iter().all(|of| of.error().is_ok()), "{name} was not shortened: {gone:?}");
    }

    fn administer<T>(
        &self,
        ask: impl AsyncFnOnce(&AdminClient<DefaultClientContext>, &AdminOptions) -> KafkaResult<T>,
    ) -> T {
        let admin = self.client_config().create().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(ASK_TIME));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(ask(&admin, &options)).unwrap()
    }

    /// librdkafka's settings that every client of this node needs.
    pub(crate) fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap());
        config
    }

    /// Kafka's own command line tools.
    pub(crate) fn tools(&self) -> &Tools {
        &self.tools
    }

    fn properties(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    #[track_caller]
    fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("a node that was made was started")
    }

    #[track_caller]
    fn wait_for_leaders(&self) {
        let client: BaseConsumer = self.client_config().create().unwrap();
        wait_for("every partition to have a leader", START_TIME, || {
            client.fetch_metadata(None, ASK_TIME).is_ok_and(|metadata| all_led(&metadata)).then_some(())
        });
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // In this order: a broker that finds its files gone has a lot to say in its log.
        self.process = None;
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn all_led(metadata: &Metadata) -> bool {
    let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
    !metadata.brokers().is_empty() && partitions.all(|partition| partition.leader() >= 0)
}

/// Kafka's jars and the Java to run them.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    java: PathBuf,
    jars: PathBuf,
}

impl Tools {
    fn find() -> Result<Self, NotRun> {
        let java = program("java", "default-jre-headless")?;
        let below_target = format!("kafka/{}", pinned_version());
        let places = fetched("WEIR_KAFKA_LIBS", &below_target);
        let jars = places.iter().find(|place| has_kafka(place)).cloned();
        let jars = jars.ok_or_else(|| {
            NotRun::because(format!(
                "no Kafka jars in {places:?}; scripts/test fetches them into target/{below_target}"
            ))
        })?;
        Ok(Self { java, jars })
    }

    /// A command that runs a main class out of the jars, in a JVM meant to start quickly and stay small.
    pub(crate) fn command(&self, main_class: &str) -> Command {
        let mut command = Command::new(&self.java);
        command
            .args(["-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .args(["-Dorg.slf4j.simpleLogger.showDateTime=true"])
            .args(["-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS"])
            .arg("-cp")
            .arg(self.jars.join("*"))
            .arg(main_class);
        command
    }
}

/// Runs a tool to its end and gives its standard output. Panics with the end of its log when it fails.
#[track_caller]
pub(crate) fn run(name: &str, command: &mut Command) -> Vec<u8> {
    let mut process = Process::spawn(name, command);
    let status = process.wait_end(START_TIME);
    assert!(status.success(), "{name} ended with {status}: {}", process.tail());
    process.stdout()
}

fn has_kafka(folder: &Path) -> bool {
    let Ok(mut files) = fs::read_dir(folder) else { return false };
    files.any(|file| file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with("kafka_2.13-")))
}

fn pinned_version() -> &'static str {
    let pom = include_str!("../kafka/pom.xml");
    let from_version = pom.split_once("<kafka.version>").map_or("", |(_, rest)| rest);
    from_version.split_once("</kafka.version>").expect("the pom names a version").0
}

/// A port on loopback that nobody listens on, below the range from which the kernel takes ports for outgoing
/// connections (32768 by default). In that range another client could be given the port while the broker is down,
/// and a client that keeps asking for a dead port there can even end up connected to itself.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static TRIED: AtomicU16 = AtomicU16::new(0);
    // Test runs side by side start looking at different places.
    let start = std::process::id().wrapping_mul(97);
    wait_for("a free port", ASK_TIME, || {
        let tried = u32::from(TRIED.fetch_add(1, Ordering::Relaxed));
        let offset = u16::try_from(start.wrapping_add(tried) % u32::from(COUNT)).unwrap();
        let port = FIRST + offset;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(port)
    })
}
