//! `weir decode`: a telegram in hex to a table, or to the `identity`, `status` and `values` of the contract.

use std::io::{ErrorKind, Read};
use std::path::PathBuf;

use clap::ValueEnum;

use super::{Exit, Failure, Form, fail, hex, json, show, tell};
use weir_wire::Answer;

/// Longest text that is read: some thousand telegrams.
const TEXT_BYTES_MAX: u64 = 4 * 1024 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The protocol
    driver: Driver,
    /// A file with the telegram in hex, `-` for standard input. Spaces, line breaks, `0x`, commas and colons are
    /// skipped; `#` begins a comment
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Modbus: the register profile, shipped name or file (required). CJ/T 188: the dialect, DL/T 645: what is read, both by
    /// default the standard one. M-Bus: a file with what is kept of the values and how they are called
    #[arg(long)]
    profile: Option<String>,
    /// Modbus: address of the first register as on the wire, for an answer without its request in front
    #[arg(long)]
    register: Option<u16>,
    /// M-Bus: the file with the meter's key, for encrypted records
    #[arg(long)]
    key_file: Option<PathBuf>,
    /// M-Bus: the meter's secondary address, which decryption needs where the telegram does not say it (CI 7A)
    #[arg(long)]
    secondary: Option<weir_mbus::Secondary>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Driver {
    Mbus,
    Modbus,
    Cjt188,
    Dlt645,
}

pub(super) fn decode(args: &Args) -> Exit {
    let text = match read_text(&args.file) {
        Ok(text) => text,
        // What a serial port gave was kept as it came.
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            let file = args.file.display();
            let cure = format_args!("`od -An -v -tx1 FILE | weir decode …` reads raw bytes");
            return fail(Exit::Data, format_args!("{file}: no text, and so no hex: {cure}"));
        }
        Err(error) => return fail(Exit::Usage, format_args!("{}: {error}", args.file.display())),
    };
    let telegram = match hex::parse(&text) {
        Ok(telegram) => telegram,
        Err(error) => return fail(Exit::Data, format_args!("{}: {error}", args.file.display())),
    };
    match answer(args, &telegram) {
        Ok(answer) => tell(&match Form::of(args.json) {
            Form::Table => show::answer(&answer),
            Form::Json => json(&answer),
        }),
        Err((exit, why)) => fail(exit, why),
    }
}

fn read_text(file: &std::path::Path) -> std::io::Result<String> {
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().lock().take(TEXT_BYTES_MAX).read_to_string(&mut text)?
    } else {
        std::fs::File::open(file)?.take(TEXT_BYTES_MAX).read_to_string(&mut text)?
    };
    if u64::try_from(read).is_ok_and(|read| read == TEXT_BYTES_MAX) {
        return Err(std::io::Error::other("longer than 4 MiB"));
    }
    Ok(text)
}

fn answer(args: &Args, telegram: &[u8]) -> Result<Answer, Failure> {
    let data = |error: &dyn std::fmt::Display| (Exit::Data, error.to_string());
    let usage = |error: &dyn std::fmt::Display| (Exit::Usage, error.to_string());
    match args.driver {
        Driver::Mbus => mbus(args, telegram),
        Driver::Cjt188 => {
            let name = args.profile.as_deref().unwrap_or("standard");
            let profile = crate::config::cjt188_profile(name).map_err(|error| usage(&error))?;
            weir_cjt188::decode(telegram, &profile).map_err(|error| data(&error))
        }
        Driver::Dlt645 => {
            let name = args.profile.as_deref().unwrap_or("standard");
            let profile = crate::config::dlt645_profile(name).map_err(|error| usage(&error))?;
            weir_dlt645::decode(telegram, &profile).map_err(|error| data(&error))
        }
        Driver::Modbus => {
            let name = args.profile.as_deref().ok_or_else(|| {
                usage(&"a Modbus answer has no names in it: say with --profile what its registers mean")
            })?;
            let profile = crate::config::modbus_profile(name).map_err(|error| usage(&error))?;
            weir_modbus::decode(&profile, telegram, args.register).map_err(|error| data(&error))
        }
    }
}

fn mbus(args: &Args, telegram: &[u8]) -> Result<Answer, Failure> {
    let usage = |why: String| (Exit::Usage, why);
    let profile = args.profile.as_deref().map(crate::config::mbus_profile).transpose().map_err(usage)?;
    let key = args.key_file.as_deref().map(crate::config::mbus_key).transpose().map_err(usage)?;
    let vif_text = profile.as_ref().and_then(|profile| profile.vif_text).unwrap_or_default();
    let meter = args.secondary.and_then(|secondary| secondary.meter());
    if args.secondary.is_some() && meter.is_none() {
        return Err(usage(
            "--secondary: decryption needs the whole address, such as 12345678.ELS.02.07".into(),
        ));
    }
    let options = weir_mbus::Options { key, vif_text, meter, valve: None };
    let mut answer =
        weir_mbus::decode(telegram, &options).map_err(|fault| (Exit::Data, fault.to_string()))?;
    if let Some(selection) = profile.and_then(|profile| profile.selection) {
        answer.values = selection.apply(answer.values);
    }
    Ok(answer)
}
