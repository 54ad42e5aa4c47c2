//! Ways into another network namespace: who connects to one of the ports on 127.0.0.1 here is connected to the same port on 127.0.0.1 there.

use clap::Parser;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::path::PathBuf;
use tokio::net::{TcpListener as Listener, TcpStream};

/// Connects ports of two network namespaces.
#[derive(Parser)]
struct Args {
    /// The file of the other namespace.
    namespace: PathBuf,
    /// The ports.
    #[arg(required = true)]
    ports: Vec<u16>,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let namespace = File::open(&args.namespace)?;
    let listen = |port: &u16| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, *port))?;
        listener.set_nonblocking(true)?;
        Ok((listener, *port))
    };
    let listeners: Vec<(TcpListener, u16)> = args.ports.iter().map(listen).collect::<io::Result<_>>()?;
    // A socket stays where it was made. From here on this thread, the only one, makes them there.
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut doors = tokio::task::JoinSet::new();
        for (listener, port) in listeners {
            doors.spawn(serve(Listener::from_std(listener)?, port));
        }
        doors.join_next().await.map_or(Ok(()), |ended| ended.map_err(io::Error::other)?)
    })
}

async fn serve(listener: Listener, port: u16) -> io::Result<()> {
    loop {
        let (mut here, _) = listener.accept().await?;
        tokio::spawn(async move {
            // Whoever nobody listens for there is cut off, as they would be there.
            let Ok(mut there) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
            let _ = here.set_nodelay(true).and_then(|()| there.set_nodelay(true));
            let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
        });
    }
}
