//! `preview` and `report`: files that are made in a pod and written on this machine.

use crate::args::{Preview, Report};
use crate::cluster::Cluster;
use crate::errand::{Ended, Errand, Pod, SHORT};
use crate::failure::Failure;
use crate::output::{say, tell};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where a pod has its files: a folder that may be written, and goes with the pod.
const THERE: &str = "/tmp/mailcampaign";

/// What a command in the pod said, with this machine's paths in it.
struct Said {
    code: u8,
    stdout: String,
    stderr: String,
}

/// Writes the mail for one row, just as its recipient would get it.
pub(crate) async fn preview(cluster: &Cluster, args: &Preview) -> Result<ExitCode, Failure> {
    let errand = Errand::prepare(cluster, &args.which.name, &args.pod, SHORT).await?;
    let row = args.row.to_string();
    errand
        .run(async |pod| {
            let words = ["preview", pod.file(), "--row", &row, "--out", THERE];
            let said = ask(pod, &words, THERE, &args.out).await?;
            if said.code != 0 {
                return Ok(ended(&said));
            }
            fs::create_dir_all(&args.out).map_err(|error| unwritable(&args.out, &error))?;
            for here in said.stdout.lines() {
                // Only its last part is taken from there: nothing is ever written outside of the folder.
                let Some(name) = Path::new(here).file_name() else { continue };
                let there = format!("{THERE}/{}", name.to_string_lossy());
                take(pod, &there, &args.out.join(name)).await?;
            }
            Ok(ended(&said))
        })
        .await
}

/// Writes the report.
pub(crate) async fn report(cluster: &Cluster, args: &Report) -> Result<ExitCode, Failure> {
    let ending = args.out.extension().map(|ending| format!(".{}", ending.to_string_lossy())).unwrap_or_default();
    let there = format!("{THERE}{ending}");
    let folder = args.out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Failure::bad_input(format!("{}: there is no such folder", folder.display())));
    }
    let errand = Errand::prepare(cluster, &args.which.name, &args.pod, SHORT).await?;
    errand
        .run(async |pod| {
            let said = ask(pod, &["report", pod.file(), "--out", &there], &there, &args.out).await?;
            if said.code == 0 {
                take(pod, &there, &args.out).await?;
            }
            Ok(ended(&said))
        })
        .await
}

/// Runs a command that makes files at `there`, and tells of them as of files at `here`.
async fn ask(pod: &Pod<'_>, words: &[&str], there: &str, here: &Path) -> Result<Said, Failure> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let Ended::Exit(code) = pod.exec(words, &mut stdout, &mut stderr).await? else {
        return Err(Failure::try_again("the command's output could not be kept"));
    };
    let with_our_paths = |said: &[u8]| String::from_utf8_lossy(said).replace(there, &here.display().to_string());
    Ok(Said { code, stdout: with_our_paths(&stdout), stderr: with_our_paths(&stderr) })
}

/// Says what the command said.
fn ended(said: &Said) -> ExitCode {
    say(&said.stdout);
    if !said.stderr.is_empty() {
        tell(said.stderr.trim_end());
    }
    ExitCode::from(said.code)
}

/// Writes a file of the pod here: the whole of it, or nothing.
async fn take(pod: &Pod<'_>, there: &str, here: &Path) -> Result<(), Failure> {
    let mut unfinished = here.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let mut file = tokio::fs::File::create(&unfinished).await.map_err(|error| unwritable(&unfinished, &error))?;
    let mut stderr = Vec::new();
    let poured = pod.exec(&["pour", there], &mut file, &mut stderr).await;
    let taken = match poured {
        Ok(Ended::Exit(0)) => fs::rename(&unfinished, here).map_err(|error| unwritable(here, &error)),
        Ok(Ended::Exit(_)) => Err(Failure::try_again(format!(
            "the file could not be taken out of the pod: {}",
            String::from_utf8_lossy(&stderr).trim_end()
        ))),
        Ok(Ended::NobodyReads) => {
            Err(Failure::bad_input(format!("{}: it can't be written; is the disk full?", here.display())))
        }
        Err(failure) => Err(failure),
    };
    if taken.is_err() {
        drop(fs::remove_file(&unfinished));
    }
    taken
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::bad_input(format!("{}: {error}", path.display()))
}
