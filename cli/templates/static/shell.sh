# In one shell, or one line each on several machines:
for index in $(seq 0 {{ last }}); do
  whence work --job {{ url }} --index "$index" --of {{ of }} &
done
wait
