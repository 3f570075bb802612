module cooper.dev/bench/load

go 1.24
