-- KEYS: waiting, stream. ARGV: group, entry ('' for none), job, when it may start again ('never', '' to leave it as it is).
if ARGV[2] ~= '' then
  redis.pcall('XACK', KEYS[2], ARGV[1], ARGV[2])
  redis.call('XDEL', KEYS[2], ARGV[2])
end
if ARGV[4] == 'never' then
  redis.call('ZREM', KEYS[1], ARGV[3])
elseif ARGV[4] ~= '' then
  redis.call('ZADD', KEYS[1], ARGV[4], ARGV[3])
end
