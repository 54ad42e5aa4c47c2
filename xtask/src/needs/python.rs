//! Python's document libraries, by which tests read what this project wrote and against which it is measured: an environment of its own in the
//! cache, with fixed versions.

use crate::command::{run, succeeds};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::cache;

/// What is installed, with everything that it pulls in.
const LIBRARIES: &[&str] = &[
    "docxtpl==0.20.2",
    "et_xmlfile==2.0.0",
    "Jinja2==3.1.6",
    "lxml==6.1.3",
    "MarkupSafe==3.0.4",
    "openpyxl==3.1.5",
    "python-calamine==0.9.1",
    "python-docx==1.2.0",
    "typing_extensions==4.16.0",
];

/// The interpreter of the environment, which is made if it isn't whole.
pub(crate) fn ensure() -> Result<PathBuf> {
    let folder = cache::folder("python")?;
    let python = folder.join("bin/python");
    // Written last: what it names was installed to the end.
    let installed = folder.join("installed");
    if std::fs::read_to_string(&installed).is_ok_and(|names| names == LIBRARIES.join("\n")) && works(&python) {
        return Ok(python);
    }
    println!("installing Python's document libraries into {}", folder.display());
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("{}: can't be replaced", folder.display()))?;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"])
        .args(LIBRARIES))?;
    std::fs::write(&installed, LIBRARIES.join("\n"))?;
    Ok(python)
}

/// An environment breaks when the system's Python is replaced.
fn works(python: &Path) -> bool {
    python.is_file() && succeeds(Command::new(python).args(["-c", "import docx, docxtpl, openpyxl, python_calamine"]))
}
