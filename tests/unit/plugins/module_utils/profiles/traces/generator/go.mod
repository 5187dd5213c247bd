module example.org/services/tracer

go 1.19
