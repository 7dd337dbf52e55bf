-- ARGV: 1 id. Returns 1 while its chunks are to be run. What had begun when a batch was paused runs to its end.
local batch = find(ARGV[1])
return batch and not isFinal[batch.status] and 1 or 0
