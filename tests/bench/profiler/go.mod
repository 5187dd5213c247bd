module example.org/services/profiler

go 1.24
