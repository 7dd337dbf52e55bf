-- ARGV: 1 id. Returns `gone` or the record.
local batch = find(ARGV[1])
return batch and call('HGETALL', batch.key) or 'gone'
