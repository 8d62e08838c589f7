"""The row of fitting SMPL to markers."""

import time

from scripts.benchmark.rows import Measured, row


@row("fit_smpl")
def bench_fit_smpl() -> Measured:
    """Six movements of 10 s of one subject of DHP19's clone, the finding of the person included.

    Frames a second of processor time: subjects are fitted in processes of their own, so two free
    cores give twice as many.
    """
    import torch

    from datasets.dhp19_clone import CLONE_SEED
    from eventhpe.body.fitting import fit_motion, fit_person
    from eventhpe.body.loading import load_body
    from scripts.fitting_accuracy import performances, spread_over

    torch.set_num_threads(1)
    body = load_body()
    truths = performances(CLONE_SEED, 7, spread_over(6), 10.0, body)
    start = time.process_time()
    person = fit_person([truth.markers for truth in truths], body)
    for truth in truths:
        fit_motion(truth.markers, person, body)
    seconds = time.process_time() - start
    frames = sum(len(truth.markers) for truth in truths)
    return Measured("fit_smpl", frames / seconds, "frames/s", 200, note="processor time, 6x 10 s")
