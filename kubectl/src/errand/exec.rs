//! A command in a running pod, with its output byte for byte and its exit code.

use super::pod::CONTAINER;
use crate::failure::Failure;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::Api;
use kube::api::AttachParams;
use kube::client::UpgradeConnectionError;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// Bytes of each stream that are held until they are read here.
const BUFFER: usize = 64 * 1024;
/// The exit code of a process that was killed.
const KILLED: u8 = 137;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Exit(u8),
    /// What it wrote to stdout could not be passed on.
    NobodyReads,
}

/// Runs `mailcampaign` with these words in the container.
pub(super) async fn exec(
    pods: &Api<Pod>,
    name: &str,
    words: &[&str],
    stdout: &mut (impl AsyncWrite + Unpin),
    stderr: &mut (impl AsyncWrite + Unpin),
) -> Result<Ended, Failure> {
    let params = AttachParams::default()
        .container(CONTAINER)
        .stdin(false)
        .stdout(true)
        .stderr(true)
        .max_stdout_buf_size(BUFFER)
        .max_stderr_buf_size(BUFFER);
    let command: Vec<&str> = ["mailcampaign"].into_iter().chain(words.iter().copied()).collect();
    let mut process = pods.exec(name, command, &params).await.map_err(|error| refused(&error))?;
    let status = process.take_status();
    let (out, err) = (process.stdout(), process.stderr());
    let passed_on = tokio::try_join!(pass(out, stdout), async {
        // Nobody has to read what is said on stderr.
        drop(pass(err, stderr).await);
        Ok(())
    });
    if passed_on.is_err() {
        return Ok(Ended::NobodyReads);
    }
    let status = match status {
        Some(status) => status.await,
        None => None,
    };
    status.map_or_else(|| Err(lost()), |status| exit_code(&status))
}

async fn pass<R: AsyncRead + Unpin>(from: Option<R>, to: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
    if let Some(mut from) = from {
        tokio::io::copy(&mut from, to).await?;
    }
    to.flush().await
}

fn lost() -> Failure {
    Failure::try_again("the connection to the command's pod was lost before the command had ended")
}

fn refused(error: &kube::Error) -> Failure {
    // Which of the two rights is missing is not always said.
    let is_forbidden = match error {
        kube::Error::Api(status) => status.code == 403,
        kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(code)) => code.as_u16() == 403,
        _ => false,
    };
    if is_forbidden {
        return Failure::bad_input(
            "you may not run commands in pods here (get and create on pods/exec); the README's section on the plugin has the Role that it needs",
        );
    }
    Failure::of_api("running the command in its pod", error)
}

/// What the kubelet says of a command's end.
fn exit_code(status: &Status) -> Result<Ended, Failure> {
    if status.status.as_deref() == Some("Success") {
        return Ok(Ended::Exit(0));
    }
    let causes = status.details.as_ref().and_then(|details| details.causes.as_ref()).into_iter().flatten();
    let code =
        causes.filter(|cause| cause.reason.as_deref() == Some("ExitCode")).find_map(|cause| cause.message.as_ref());
    match code.and_then(|code| code.parse().ok()) {
        Some(KILLED) => Err(Failure::try_again(
            "the command was killed in its pod: it needed more memory than the pod may have (workers.resources.limits), its time was over, or \
             the pod was deleted",
        )),
        Some(code) => Ok(Ended::Exit(code)),
        None => {
            let said = status.message.clone().unwrap_or_default();
            Err(Failure::try_again(format!("the command could not be run in its pod: {said}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ended(status: serde_json::Value) -> Result<Ended, Failure> {
        exit_code(&serde_json::from_value(status).expect("a Status"))
    }

    fn with_code(code: &str) -> Result<Ended, Failure> {
        ended(json!({
            "status": "Failure", "reason": "NonZeroExitCode", "message": "command terminated with non-zero exit code",
            "details": {"causes": [{"reason": "ExitCode", "message": code}]},
        }))
    }

    #[test]
    fn the_exit_code_is_the_commands_own() {
        assert_eq!(ended(json!({"status": "Success"})), Ok(Ended::Exit(0)));
        assert_eq!(with_code("2"), Ok(Ended::Exit(2)));
    }

    #[test]
    fn a_command_that_was_killed_or_never_ran_says_so() {
        let killed = with_code("137").expect_err("killed");
        assert!(killed.message().contains("memory") && killed.code() == 1, "{killed}");
        let missing =
            ended(json!({"status": "Failure", "reason": "InternalError", "message": "executable file not found"}));
        assert!(missing.expect_err("not run").message().ends_with("executable file not found"));
    }
}
