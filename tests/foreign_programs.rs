//! Cross-checks against programs that nobody here wrote. Masters (mbpoll, pymodbus) read the simulated meters, and the
//! daemon reads a slave (pymodbus): a misreading shared by our driver and our simulator would show here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use weir_simulator::LineConfig;

use crate::harness::deadline::wait_until;
use crate::harness::fleet::{Fleet, Street};
use crate::harness::ledger::GATEWAY;
use crate::harness::mock::MockBroker;
use crate::harness::not_run::require;
use crate::harness::process::Process;
use crate::harness::programs::{program, python_with_pymodbus};
use crate::harness::weir::{Weir, settings};

const PATIENCE: Duration = Duration::from_secs(60);

/// A meter with its words high first and one with its words low first, on a pty and on TCP.
fn modbus_meters() -> Fleet {
    let mut rtu = Street::modbus("rtu", 2);
    rtu.simulated = LineConfig { baud: 9600, ..rtu.simulated };
    Fleet::start(71, [rtu, Street::modbus_tcp("tcp", 1)])
}

/// The last thing the meter said, in litres.
fn litres(fleet: &Fleet, meter: &str) -> u32 {
    let said = fleet.volumes_of(meter).pop().unwrap_or_else(|| panic!("{meter} was not asked"));
    said.replace('.', "").parse().unwrap()
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn mbpoll_reads_the_simulated_meters_on_a_pty_and_on_tcp() {
    let Some(mbpoll) = require("mbpoll", program("mbpoll", "mbpoll")) else { return };
    let fleet = modbus_meters();
    let pty = fleet.line("rtu").path().unwrap().to_str().unwrap();
    let port = fleet.line("tcp").address().unwrap().port().to_string();
    let rtu = ["-m", "rtu", "-b", "9600", "-P", "none", "-o", "5", pty];
    let tcp = ["-m", "tcp", "-p", &port, "-o", "5", "127.0.0.1"];
    let high_first: &[&str] = &["-a", "1", "-r", "0", "-B"];
    let low_first: &[&str] = &["-a", "2", "-r", "7"];
    for (meter, line, which) in
        [("rtu-1", &rtu[..], high_first), ("rtu-2", &rtu, low_first), ("tcp-1", &tcp, high_first)]
    {
        let output = Command::new(&mbpoll)
            .args(["-0", "-1", "-c", "1", "-t", "4:int"])
            .args(which)
            .args(line)
            .output();
        let printed = succeeded(&output.unwrap());
        // "[0]: \t 1234567"
        let value = printed.lines().find_map(|line| line.strip_prefix('[')?.split_once("]:"));
        let value: u32 = value.unwrap_or_else(|| panic!("{printed}")).1.trim().parse().unwrap();
        assert_eq!(value, litres(&fleet, meter), "{meter}: {printed}");
    }
}

#[test]
fn pymodbus_reads_the_simulated_meters_on_a_pty_and_on_tcp() {
    const SCRIPT: &str = r#"
import sys
from pymodbus.client import ModbusSerialClient, ModbusTcpClient
kind, place, unit, at = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
if kind == "rtu":
    client = ModbusSerialClient(place, baudrate=9600, bytesize=8, parity="N", stopbits=1, timeout=5)
else:
    client = ModbusTcpClient("127.0.0.1", port=int(place), timeout=5)
assert client.connect()
answer = client.read_holding_registers(at, count=2, device_id=unit)
assert not answer.isError(), answer
print(*answer.registers)
"#;
    let Some(python) = require("pymodbus", python_with_pymodbus()) else { return };
    let fleet = modbus_meters();
    let pty = fleet.line("rtu").path().unwrap().to_str().unwrap();
    let port = fleet.line("tcp").address().unwrap().port().to_string();
    for (meter, arguments, low_first) in [
        ("rtu-1", ["rtu", pty, "1", "0"], false),
        ("rtu-2", ["rtu", pty, "2", "7"], true),
        ("tcp-1", ["tcp", &port, "1", "0"], false),
    ] {
        let output = Command::new(&python).args(["-c", SCRIPT]).args(arguments).output().unwrap();
        let printed = succeeded(&output);
        let mut words: Vec<u32> = printed.split_whitespace().map(|word| word.parse().unwrap()).collect();
        if low_first {
            words.reverse();
        }
        assert_eq!(words[0] << 16 | words[1], litres(&fleet, meter), "{meter}: {printed}");
    }
}

/// What the server below holds, and how a reading of it must look.
const PROFILE: &str = r#"
model = "a server of pymodbus"
[identity]
number = { at = 200, type = "u32" }
[[value]]
quantity = "volume"
unit = "m3"
at = 100
type = "u32"
scale = 0.001
[[value]]
quantity = "flow-temperature"
unit = "degC"
at = 102
type = "i16"
scale = 0.01
[[value]]
quantity = "pressure"
unit = "bar"
at = 103
type = "f32"
order = "CDAB"
"#;

const SERVER: &str = r#"
import asyncio, struct, sys
from pymodbus import FramerType
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
kind, place = sys.argv[1], sys.argv[2]
words = [0] * 300
words[100:102] = struct.unpack(">HH", struct.pack(">I", 123456780))
words[102] = struct.unpack(">H", struct.pack(">h", -1234))[0]
words[103:105] = reversed(struct.unpack(">HH", struct.pack(">f", 2.5)))
words[200:202] = struct.unpack(">HH", struct.pack(">I", 40009999))
async def serve():
    # A block that begins at 1 is what pymodbus calls address 0 on the wire.
    context = ModbusServerContext(devices={17: ModbusDeviceContext(hr=ModbusSequentialDataBlock(1, words))}, single=False)
    if kind == "rtu":
        server = ModbusSerialServer(context, port=place, baudrate=9600, bytesize=8, parity="N", stopbits=1)
    else:
        framer = FramerType.RTU if kind == "rtu-over-tcp" else FramerType.SOCKET
        server = ModbusTcpServer(context, framer=framer, address=("127.0.0.1", int(place)))
    await server.serve_forever(background=True)
    print("serving", file=sys.stderr, flush=True)
    await asyncio.Event().wait()
asyncio.run(serve())
"#;

fn start_server(python: &Path, kind: &str, place: &str) -> Process {
    let mut server = Process::spawn("pymodbus", Command::new(python).args(["-c", SERVER, kind, place]));
    server.wait_for_line("serving", PATIENCE);
    server
}

fn weir_for(place: &str, framing: &str, broker: &MockBroker) -> Weir {
    Weir::prepare(|folder| {
        fs::write(folder.join("server.toml"), PROFILE).unwrap();
        format!(
            "{}\n[[lines]]\nname = \"foreign\"\n{place}\n{framing}\ndriver = \"modbus\"\nprofile = \"server.toml\"\n\
             every = \"1s\"\nadapter_allowance = \"1s\"\n[[meters]]\nid = \"P-17\"\nline = \"foreign\"\naddress = 17\n",
            settings(folder, &broker.bootstrap(), "")
        )
    })
}

fn assert_is_its_reading(text: &str) {
    let flat: String = text.split_whitespace().collect();
    for part in [
        r#""quantity":"volume","value":123456.780,"unit":"m3""#,
        r#""quantity":"flow-temperature","value":-12.34,"unit":"degC""#,
        r#""quantity":"pressure","value":2.5,"unit":"bar""#,
        r#""number":"40009999""#,
    ] {
        assert!(flat.contains(part), "{part} in {text}");
    }
}

/// Read once by the command line, then by the daemon, all the way to the broker.
fn reads_its_server(mut weir: Weir, broker: &MockBroker) {
    let output = weir.command(&["read", "P-17", "--json"]);
    assert_is_its_reading(&succeeded(&output));
    weir.start();
    weir.wait_ready(PATIENCE);
    wait_until("three readings to arrive", PATIENCE, || broker.read_all("weir.readings").len() >= 3);
    assert_eq!(weir.stop(PATIENCE).code(), Some(0));
    for record in broker.read_all("weir.readings") {
        assert_is_its_reading(record.text());
        assert_eq!(record.json()["gateway"], GATEWAY);
    }
}

#[test]
fn the_daemon_reads_a_pymodbus_server_on_a_serial_line() {
    let part = "pymodbus on a serial line";
    let Some(python) = require(part, python_with_pymodbus()) else { return };
    let Some(socat) = require(part, program("socat", "socat")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let [ours, theirs]: [PathBuf; 2] = ["ours", "theirs"].map(|name| folder.path().join(name));
    let end = |path: &Path| format!("pty,raw,echo=0,link={}", path.display());
    let _wire = Process::spawn("socat", Command::new(socat).args([end(&ours), end(&theirs)]));
    wait_until("the two ends of the wire", PATIENCE, || ours.exists() && theirs.exists());

    let _server = start_server(&python, "rtu", theirs.to_str().unwrap());
    let broker = MockBroker::start();
    reads_its_server(
        weir_for(&format!("port = {ours:?}\nbaud = 9600\nparity = \"none\""), "", &broker),
        &broker,
    );
}

#[test]
fn the_daemon_reads_a_pymodbus_server_on_tcp() {
    let Some(python) = require("pymodbus on TCP", python_with_pymodbus()) else { return };
    let port = crate::harness::kafka::free_port();
    let _server = start_server(&python, "tcp", &port.to_string());
    let broker = MockBroker::start();
    reads_its_server(weir_for(&format!("tcp = \"127.0.0.1:{port}\""), "framing = \"tcp\"", &broker), &broker);
}

/// A serial server that passes bytes through: RTU frames, with their CRC, in a TCP connection.
#[test]
fn the_daemon_reads_a_pymodbus_server_that_speaks_rtu_over_tcp() {
    let Some(python) = require("pymodbus by RTU over TCP", python_with_pymodbus()) else { return };
    let port = crate::harness::kafka::free_port();
    let _server = start_server(&python, "rtu-over-tcp", &port.to_string());
    let broker = MockBroker::start();
    reads_its_server(weir_for(&format!("tcp = \"127.0.0.1:{port}\""), "framing = \"rtu\"", &broker), &broker);
}
