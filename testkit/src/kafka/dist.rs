//! Gets Apache Kafka: its jars from Maven's central repository, once, into the cache.
//!
//! Processes that come at the same time wait for the first of them. A folder has its final name only when it is whole.

use super::Error;
use crate::cache;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;

/// The version of Apache Kafka that is run.
pub const VERSION: &str = "4.2.0";

/// What Maven is asked for: the broker, and a logger that writes to stderr.
const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>mailcampaign</groupId>
  <artifactId>kafka-for-tests</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>4.2.0</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"#;

/// The plugin with its version, so that every machine does the same.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// Apache Kafka on this machine.
#[derive(Debug, Clone)]
pub(super) struct Dist {
    folder: PathBuf,
    /// Where Java writes the archive of the classes it used, when it ends.
    writes: Option<PathBuf>,
}

impl Dist {
    /// Kafka from the cache, downloaded if it isn't there: some 45 MB, 10 to 20 s.
    pub(super) fn ensure() -> Result<Self, Error> {
        let name = format!("kafka-{VERSION}");
        let folder = cache::folder(&name).map_err(Error::file(Path::new("the cache")))?;
        let dist = Self { folder, writes: None };
        if dist.is_whole() {
            return Ok(dist);
        }
        let lock = dist.folder.with_file_name(format!("{name}.lock"));
        let _alone = cache::lock(&lock).map_err(Error::file(&lock))?;
        if !dist.is_whole() {
            dist.download()?;
        }
        Ok(dist)
    }

    /// Java with Kafka's classes.
    pub(super) fn java(&self) -> Command {
        let mut command = Command::new(java_program());
        let archive = self.archive();
        if let Some(written) = &self.writes {
            command.arg(format!("-XX:ArchiveClassesAtExit={}", written.display()));
        } else if archive.metadata().is_ok_and(|file| file.len() > 0) {
            command.arg(format!("-XX:SharedArchiveFile={}", archive.display()));
        }
        // Without figures for other programs, which would stay in the temporary folder when Java is killed.
        command.args(["-XX:-UsePerfData", "-Xlog:disable", "-Xlog:all=error:stderr"]);
        command.arg("-cp").arg(self.folder.join("libs/*"));
        command
    }

    /// Where the archive of Kafka's classes is kept for this Java: another one can't read it.
    pub(super) fn archive(&self) -> PathBuf {
        let java = java_program().canonicalize().and_then(|program| program.metadata());
        let built = java.and_then(|file| file.modified()).ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        self.folder.join(format!("classes-{}.jsa", built.unwrap_or_default().as_secs()))
    }

    /// The same, with a Java that writes such an archive.
    pub(super) fn that_writes(&self, archive: &Path) -> Self {
        Self { writes: Some(archive.to_path_buf()), ..self.clone() }
    }

    /// Whether what lies there came from this very [`POM`].
    fn is_whole(&self) -> bool {
        std::fs::read_to_string(self.folder.join("pom.xml")).is_ok_and(|there| there == POM)
    }

    fn download(&self) -> Result<(), Error> {
        let parent = self.folder.parent().unwrap_or(Path::new("."));
        let unfinished =
            tempfile::Builder::new().prefix("kafka-unfinished-").tempdir_in(parent).map_err(Error::file(parent))?;
        let pom = unfinished.path().join("pom.xml");
        std::fs::write(&pom, POM).map_err(Error::file(&pom))?;
        let output = Command::new("mvn")
            .args(["--quiet", "--batch-mode", "--file"])
            .arg(&pom)
            .arg(COPY)
            .arg(format!("-DoutputDirectory={}", unfinished.path().join("libs").display()))
            .arg("-DincludeScope=runtime")
            .stdin(Stdio::null())
            .output()
            .map_err(|source| Error::Program { program: "mvn".to_owned(), package: "maven", source })?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            return Err(Error::Download { version: VERSION, output: String::from_utf8_lossy(&said).into_owned() });
        }
        if self.folder.exists() {
            std::fs::remove_dir_all(&self.folder).map_err(Error::file(&self.folder))?;
        }
        let finished = unfinished.keep();
        std::fs::rename(&finished, &self.folder).map_err(Error::file(&self.folder))
    }
}

/// Java, as its usual variable says or else from PATH.
fn java_program() -> PathBuf {
    let of_home = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let of_path = std::env::split_paths(&path).map(|folder| folder.join("java"));
    of_home.into_iter().chain(of_path).find(|program| program.is_file()).unwrap_or_else(|| PathBuf::from("java"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_named_for_the_version_that_maven_is_asked_for() {
        assert!(POM.contains(&format!("<artifactId>kafka_2.13</artifactId><version>{VERSION}</version>")));
    }
}
