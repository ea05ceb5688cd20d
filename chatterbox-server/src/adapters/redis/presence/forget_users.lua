-- KEYS: users of the node. ARGV: tenure, users. Those who have arrived under another one since stay.
for i = 2, #ARGV do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[1] then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
