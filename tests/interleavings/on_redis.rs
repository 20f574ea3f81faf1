//! A sample of interleavings on a real Redis. A step is a command: what a parallel flight asks is answered one by one, too.

use std::time::Duration;

use cloakroom::store::{NearCache, Redis};
use tokio::task::JoinHandle;

use crate::programs::{ACTS, Act, Browser, LIMIT, Managers, POLICIES, Program, STARTS, check_ended};
use crate::support::{Gate, Numbers, RedisServer, Scene, Watcher};

const SEED: u64 = 0x5EA7_C0A7;
// the figure stands in docs/design.md, too
const SAMPLES: usize = 500;

/// What is tried.
trait Samples {
    fn one_of<T: Copy>(&mut self, items: &[T]) -> T;
    fn program(&mut self) -> Program;
}

impl Samples for Numbers {
    fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    fn program(&mut self) -> Program {
        // the verbs of more than one step more often than the others
        let many_steps = [Act::SignIn("anna"), Act::SignIn("anna"), Act::SignOutEverywhere, Act::RevokeAnna];
        let mut act = || if self.below(2) == 0 { self.one_of(&many_steps) } else { self.one_of(&ACTS) };
        let acts: Vec<_> = (0..6).map(|_| act()).collect();
        let clients = 2 + self.below(2);
        acts.chunks(2).take(clients).map(|pair| pair[..1 + self.below(2)].to_vec()).collect()
    }
}

/// As long as a test may take: no heartbeat comes between the steps.
const LONG: Duration = Duration::from_secs(60);

async fn connect(url: String) -> Redis {
    Redis::builder(url).timeout(LONG).connect().await.unwrap()
}

async fn connect_near(url: String) -> Redis {
    let near = NearCache::default().silence_limit(LONG);
    Redis::builder(url).timeout(LONG).near_cache(near).connect().await.unwrap()
}

#[tokio::test]
async fn a_sample_of_programs_and_orders_breaks_no_invariant() {
    run_samples(connect).await;
}

#[tokio::test]
async fn the_order_of_two_requests_makes_no_difference_with_a_near_cache_either() {
    run_samples(connect_near).await;
}

async fn run_samples(connect_client: impl AsyncFn(String) -> Redis) {
    let server = RedisServer::start();
    let mut client = server.client();
    let direct = connect(server.url()).await;
    let mut lines = Vec::new();
    for _ in 0..3 {
        let gate = Gate::before(server.port()).await;
        let store = connect_client(gate.url()).await;
        lines.push((gate, store));
    }
    let mut numbers = Numbers(SEED);
    let (mut samples, mut steps) = (0, 0);
    while samples < SAMPLES {
        let (start, on_limit, program) = (numbers.one_of(&STARTS), numbers.one_of(&POLICIES), numbers.program());
        // the scripts stay
        redis::cmd("FLUSHALL").exec(&mut client).unwrap();
        let browsers = Browser::three(start, &Managers::new(&direct, on_limit)).await;
        let before = Scene::of_redis(&mut client);
        let mut watcher = Watcher::with_limit(LIMIT);
        watcher.look(before.clone()).unwrap();

        let mut running: Vec<(usize, Gate, JoinHandle<Browser>)> = Vec::new();
        for (i, (acts, browser)) in program.iter().zip(browsers).enumerate() {
            let (gate, store) = lines[i].clone();
            gate.close();
            let client = browser.run(Managers::new(&store, on_limit), acts.clone());
            let at_the_end = gate.clone();
            let client = tokio::spawn(async move {
                let browser = client.await;
                at_the_end.finish();
                browser
            });
            running.push((i, gate, client));
        }
        let mut order = Vec::new();
        let mut finished = Vec::new();
        loop {
            let mut asking = Vec::new();
            for (i, gate, client) in running {
                match gate.asks().await {
                    true => asking.push((i, gate, client)),
                    false => finished.push(client.await.unwrap()),
                }
            }
            running = asking;
            if running.is_empty() {
                break;
            }
            let (i, gate, _) = &running[numbers.below(running.len())];
            order.push(*i);
            gate.step().await;
            let scene = Scene::of_redis(&mut client);
            let what = || format!("seed {SEED}, sample {samples}: {start:?}, {on_limit:?}, {program:?} in {order:?}");
            watcher.look(scene.clone()).unwrap_or_else(|wrong| panic!("{}: {wrong}\n{scene:#?}", what()));
        }
        let what = || format!("seed {SEED}, sample {samples}: {start:?}, {on_limit:?}, {program:?} in {order:?}");
        let scene = Scene::of_redis(&mut client);
        check_ended(&before, &scene, &finished).unwrap_or_else(|wrong| panic!("{}: {wrong}", what()));
        samples += 1;
        steps += order.len();
    }
    eprintln!("seed {SEED}: {samples} samples, {steps} steps");
    assert!(steps > 10 * SAMPLES, "programs of {steps} steps in all are too short to tell anything");
}
