"""What is known of a flight before it leaves.

Every function here looks only at the schedule, and at what had happened by a *cutoff*: a full hour (UTC),
some hours of notice before the hour in which the flight is scheduled. Tables are pandas data frames with the
columns that `clean.ipynb` writes; nothing is changed in place.
"""

import pandas as pd

HOUR = pd.Timedelta(hours=1)


def schedule_load(flights: pd.DataFrame) -> pd.DataFrame:
    """Count the departures planned from the same airport in the same hour, and the carrier's own among them.

    Gives the columns `departures_in_hour` and `carrier_departures_in_hour` with the index of `flights`.
    """
    by_airport = flights.groupby(["origin", "time_hour"], observed=True)["carrier"]
    by_carrier = flights.groupby(["origin", "carrier", "time_hour"], observed=True)["distance"]
    return pd.DataFrame(
        {
            "departures_in_hour": by_airport.transform("size").astype("int16"),
            "carrier_departures_in_hour": by_carrier.transform("size").astype("int16"),
        }
    )


def delays_seen(flights: pd.DataFrame, window_hours: int) -> pd.DataFrame:
    """List what was visible of each flight's departure at the full hours after it was scheduled.

    One row for each flight and each of the `window_hours` cutoffs that follow: `seen` is its delay so far in
    minutes (of a flight that has not left, whether it will be cancelled or not: the minutes that it has
    waited), and `waiting` whether it had not left.
    """
    rows = []
    for step in range(1, window_hours + 1):
        cutoff = flights["time_hour"] + step * HOUR
        since = (cutoff - flights["scheduled"]).dt.total_seconds() / 60
        delay = flights["dep_delay"].fillna(float("inf"))
        rows.append(
            pd.DataFrame(
                {
                    "origin": flights["origin"],
                    "carrier": flights["carrier"],
                    "cutoff": cutoff,
                    "seen": delay.clip(upper=since),
                    "waiting": (delay >= since).astype("float32"),
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def airport_state(flights: pd.DataFrame, *, notice_hours: int, window_hours: int = 3) -> pd.DataFrame:
    """Say for each flight how departures were running at its airport when the notice was given.

    Means over the flights scheduled in the `window_hours` before the cutoff: delay so far in minutes and
    share not yet gone, of all carriers and of the flight's own. Missing where none was scheduled (early in
    the morning).
    """
    seen = delays_seen(flights, window_hours)
    wanted = flights[["origin", "carrier"]].assign(cutoff=flights["time_hour"] - notice_hours * HOUR)
    result = pd.DataFrame(index=flights.index)
    for prefix, keys in (("airport", ["origin", "cutoff"]), ("carrier", ["origin", "carrier", "cutoff"])):
        means = seen.groupby(keys, observed=True)[["seen", "waiting"]].mean().reset_index()
        joined = wanted.merge(means, on=keys, how="left")
        result[f"{prefix}_delay_seen"] = joined["seen"].to_numpy("float32")
        result[f"{prefix}_share_waiting"] = joined["waiting"].to_numpy("float32")
    return result


def weather_before(flights: pd.DataFrame, weather: pd.DataFrame, *, notice_hours: int) -> pd.DataFrame:
    """Join the last weather observation that was complete at the cutoff.

    An observation filed under an hour may have been taken at its end, so that of the hour before the cutoff
    is used. Gives the weather's measured columns with the index of `flights`; missing where there was none.
    """
    wanted = flights[["origin"]].assign(time_hour=flights["time_hour"] - (notice_hours + 1) * HOUR)
    joined = wanted.merge(weather, on=["origin", "time_hour"], how="left")
    return joined.drop(columns=["origin", "time_hour"]).set_index(flights.index)
