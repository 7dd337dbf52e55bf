-- ARGV: 1 id. Returns 1 for a batch that was and is no more.
return find(ARGV[1]) and 0 or call('EXISTS', ofBatch(ARGV[1], 'ended'))
