module example.org/services/profiled

go 1.24
