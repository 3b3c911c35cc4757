-- Prints what wrk measured as one line of JSON. Loaded by the other scripts.
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    "\nRESULT {\"requests\":%d,\"durationUs\":%d,\"bytes\":%d,"
      .. "\"connectErrors\":%d,\"readErrors\":%d,\"writeErrors\":%d,\"statusErrors\":%d,\"timeouts\":%d,"
      .. "\"p50Us\":%d,\"p99Us\":%d,\"p999Us\":%d,\"maxUs\":%d}\n",
    summary.requests, summary.duration, summary.bytes,
    errors.connect, errors.read, errors.write, errors.status, errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max))
end
