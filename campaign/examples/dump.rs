//! x
use cel::{Program,Env};
fn main() { 
 let t=std::time::Instant::now(); let c=campaign::crd(); eprintln!("crd {:?}", t.elapsed());
 let t=std::time::Instant::now(); let _env=Env::stdlib(); eprintln!("env {:?}", t.elapsed());
 for _ in 0..3 {
 let t=std::time::Instant::now(); let _p=Program::compile("[has(self.configMap), has(self.secret), has(self.http)].exists_one(set, set)"); eprintln!("compile {:?}", t.elapsed());
 let t=std::time::Instant::now(); let _p=Program::compile("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')"); eprintln!("compile {:?}", t.elapsed());
 }
 let y=campaign::crd_yaml(); for _ in 0..3 { let t=std::time::Instant::now(); let _v: serde_json::Value=serde_saphyr::from_str(&y).expect("p"); eprintln!("yaml {:?}", t.elapsed());
 let j=serde_json::to_string(c).expect("x"); let t=std::time::Instant::now(); let _v: serde_json::Value=serde_json::from_str(&j).expect("p"); eprintln!("json {:?}", t.elapsed());}
 println!("{}", serde_json::to_string_pretty(c).expect("x"));
 std::fs::write("crds/mailcampaigns.mailcampaign.io.yaml", campaign::crd_yaml()).expect("w");
}
