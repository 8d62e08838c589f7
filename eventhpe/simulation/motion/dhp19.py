"""DHP19's 33 movements (Calabrese et al., CVPRW 2019, table of movements) as registered motions.

Left and right are the subject's own; walking and jogging are on a treadmill.
"""

_SESSIONS: tuple[tuple[str, ...], ...] = (
    (
        "arm_abduction_left",
        "arm_abduction_right",
        "leg_abduction_left",
        "leg_abduction_right",
        "biceps_curl_left",
        "biceps_curl_right",
        "knee_lift_left",
        "knee_lift_right",
    ),
    (
        "walk_on_treadmill",
        "jump_up_down",
        "jump_forward",
        "jumps_up_down",
        "hop_right",
        "hop_left",
    ),
    (
        "punch_forward_left",
        "punch_forward_right",
        "punch_up_left",
        "punch_up_right",
        "punch_down_left",
        "punch_down_right",
    ),
    (
        "jog_on_treadmill",
        "star_jump",
        "kick_forward_left",
        "kick_forward_right",
        "kick_sideways_left",
        "kick_sideways_right",
    ),
    (
        "wave_hello_left",
        "wave_hello_right",
        "circle_hand_left",
        "circle_hand_right",
        "figure_eight_hand_left",
        "figure_eight_hand_right",
        "clap",
    ),
)

DHP19_MOVEMENTS: dict[tuple[int, int], str] = {
    (session, movement): name
    for session, names in enumerate(_SESSIONS, start=1)
    for movement, name in enumerate(names, start=1)
}
"""(session 1..5, movement 1..) -> name in `eventhpe.simulation.motion.registry.MOTIONS`."""
